import { setTimeout as sleep } from 'node:timers/promises';
import { type Program, startProgram } from '../../support/process.ts';
import { until } from '../../support/waiting.ts';

const READY = /^.*"msg":"ready".*$/m;
/** As long as a timer can wait: the supervisor looks after its program for the whole run. */
const FOR_EVER_MS = 2 ** 31 - 1;
/** Before a program that has ended by itself is started again. */
const RESTART_MS = 300;
const READY_MS = 40_000;

/** How a program came to its end that nobody had killed. */
export interface Ending {
  readonly name: string;
  readonly atMs: number;
  readonly exitCode: number | null;
  readonly stderr: string;
}

export type Supervised = ReturnType<typeof startSupervised>;

/** Keeps one of the programs in src/bin running, as an operator's supervisor would, and breaks it when asked to. */
export function startSupervised(name: string, program: string, env: Readonly<Record<string, string>>) {
  const endings: Ending[] = [];
  const logs: string[] = [];
  const stopping = new AbortController();
  let current: Program | undefined;
  let readyLine: string | undefined;
  let downMs: number | undefined;

  async function watchForReady(started: Program): Promise<void> {
    let line: string | undefined;
    const ended = started.exits(FOR_EVER_MS).then(() => true);
    while (!line && !(await Promise.race([ended, sleep(20)]))) line = READY.exec(started.stdout())?.[0];
    if (current === started) readyLine = line;
  }

  async function keepRunning(): Promise<void> {
    while (!stopping.signal.aborted) {
      const started = startProgram(program, { env });
      current = started;
      const watching = watchForReady(started);
      const exitCode = await started.exits(FOR_EVER_MS);
      await watching;
      current = undefined;
      readyLine = undefined;
      logs.push(started.stdout());
      const wasKilled = downMs !== undefined;
      const isStopped = stopping.signal.aborted && exitCode === 0 && started.stderr() === '';
      if (!wasKilled && !isStopped) {
        endings.push({ name, atMs: performance.now(), exitCode, stderr: started.stderr() });
      }
      await sleep(downMs ?? RESTART_MS, undefined, { signal: stopping.signal }).catch(() => {});
      downMs = undefined;
    }
  }

  const running = keepRunning();
  return {
    name,
    /** Ends by itself that were not asked for, which a database that is away excuses. */
    endings: endings as readonly Ending[],
    isReady: () => readyLine !== undefined,
    async whenReady(): Promise<void> {
      try {
        await until(`${name} is ready`, () => readyLine !== undefined, READY_MS);
      } catch (error) {
        const said = endings.at(-1)?.stderr ?? current?.stdout().slice(-2_000) ?? 'nothing';
        throw new Error(`${(error as Error).message}; it said: ${said}`);
      }
    },
    /** By which the database knows it; undefined before it is ready. */
    executorId: () => /"executor_id":"([^"]+)"/.exec(readyLine ?? '')?.[1],
    /** SIGKILL, and starts it again after `forMs`. False when it is not running. */
    kill(forMs: number): boolean {
      if (!current || downMs !== undefined) return false;
      downMs = forMs;
      return current.kill('SIGKILL');
    },
    pause: () => current?.kill('SIGSTOP') ?? false,
    resume: () => current?.kill('SIGCONT') ?? false,
    /** Everything that it has logged, of all its lives. */
    log: () => [...logs, current?.stdout() ?? ''].join(''),
    /** SIGTERM, or SIGKILL, and no new start. */
    async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
      if (signal === 'SIGKILL') downMs = 0;
      stopping.abort();
      current?.kill(signal);
      await running;
    },
  };
}
