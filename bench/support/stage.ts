import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readCpuMs, readMachineCpuMs } from './process-usage.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START_BOUND_MS = 30_000;
const KEPT_CHARS = 10_000;

/** The core for the program under test, and the one for everything else. */
type Place = 'tested' | 'rest';

interface ProgramOptions {
  readonly place: Place;
  readonly nodeFlags?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A process of the benchmark. */
export interface Program {
  readonly pid: number;
  /** The port in the line with which it says that it is ready. */
  readonly port: () => Promise<number>;
  /** Sends a message and returns the answer (see answer-messages.ts). One at a time. */
  readonly ask: <Answer>(message: object, boundMs: number) => Promise<Answer>;
}

export type Stage = ReturnType<typeof createStage>;

/** Starts the programs of the benchmark, each a process of its own, and keeps them apart on the cores that it has. */
export function createStage() {
  const pinning = readPinning();
  // The benchmark itself reads what the programs log.
  if (pinning.cores) spawnSync('taskset', ['-a', '-c', '-p', String(pinning.cores.rest), String(process.pid)]);
  const running = new Map<ChildProcess, Promise<unknown>>();
  process.once('exit', () => {
    for (const child of running.keys()) child.kill('SIGKILL');
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

  return {
    /** Where the programs run, as a sentence for the reader. */
    pinning: pinning.text,

    /** Runs `file`, a path in the repository, with this Node. */
    start(file: string, { place, nodeFlags = [], args = [], env = {} }: ProgramOptions): Program {
      const pin = pinning.cores ? ['taskset', '-c', String(pinning.cores[place])] : [];
      const [command, ...rest] = [...pin, process.execPath, ...nodeFlags, file, ...args];
      const { PATH, HOME, TMPDIR } = process.env;
      const inherited = Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR }).filter(([, value]) => value));
      const child = spawn(command!, rest, {
        cwd: ROOT,
        env: { ...inherited, ...env },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      });
      running.set(
        child,
        once(child, 'exit').then(() => running.delete(child)),
      );
      return watch(file, child);
    },

    /**
     * How many cores others use, from now until it is asked, while the programs that run now go on: what slows these down
     * without being theirs.
     */
    watchOthers(): () => number {
      const pids = [process.pid, ...[...running.keys()].map(({ pid }) => pid!)];
      const readOthersMs = () => readMachineCpuMs() - pids.reduce((sum, pid) => sum + readCpuMs(pid), 0);
      const othersMs = readOthersMs();
      const startedAt = performance.now();
      return () => Math.max(0, readOthersMs() - othersMs) / (performance.now() - startedAt);
    },

    /** Ends all programs at once: nothing that they hold is worth a farewell. */
    async clear(): Promise<void> {
      for (const child of running.keys()) child.kill('SIGKILL');
      await Promise.all(running.values());
    },
  };
}

function watch(file: string, child: ChildProcess): Program {
  // The beginning of the log has the line that says it is ready; the rest is read so that the pipe never fills.
  let log = '';
  let complaints = '';
  child.stdout!.on('data', (chunk) => {
    if (log.length < KEPT_CHARS) log += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    complaints = (complaints + chunk).slice(-KEPT_CHARS);
  });
  const assertRunning = () => {
    if (child.exitCode === null && child.signalCode === null) return;
    throw new Error(`${file} ended by itself (${child.exitCode ?? child.signalCode}): ${complaints || log}`);
  };

  return {
    pid: child.pid!,

    async port() {
      const deadline = performance.now() + START_BOUND_MS;
      for (;;) {
        const ready = /"address":"127\.0\.0\.1:(\d+)"/.exec(log);
        if (ready) return Number(ready[1]);
        assertRunning();
        if (performance.now() > deadline) throw new Error(`${file} is not ready after ${START_BOUND_MS} ms: ${log}`);
        await sleep(20);
      }
    },

    async ask<Answer>(message: object, boundMs: number) {
      assertRunning();
      const leave = new AbortController();
      const signal = AbortSignal.any([leave.signal, AbortSignal.timeout(boundMs)]);
      try {
        const answer = once(child, 'message', { signal });
        const end = once(child, 'close', { signal }).then(assertRunning);
        child.send(message);
        const [value] = (await Promise.race([answer, end])) as [Answer];
        return value;
      } catch (error) {
        assertRunning();
        const [name] = Object.keys(message);
        throw new Error(`${file} did not answer "${name}" within ${boundMs} ms`, { cause: error });
      } finally {
        leave.abort();
      }
    },
  };
}

function readPinning(): { readonly cores?: Readonly<Record<Place, number>>; readonly text: string } {
  const [tested, rest] = readAllowedCores();
  if (tested === undefined || rest === undefined) return { text: 'not pinned: there is one core for everything' };
  if (spawnSync('taskset', ['--version']).error) return { text: 'not pinned: there is no taskset' };
  return { cores: { tested, rest }, text: `the program under test on core ${tested}, all others on core ${rest}` };
}

/** The cores that this process may use: proc_pid_status(5). */
function readAllowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
