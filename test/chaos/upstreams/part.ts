import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { until, within } from '../../support/waiting.ts';

const READY = /"msg":"ready"/;
const READY_MS = 40_000;
const END_MS = 15_000;
/** What is kept of the lines that nobody counts. */
const KEPT_CHARACTERS = 20_000;

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export type Part = Awaited<ReturnType<typeof startPart>>;

interface PartOptions {
  readonly file: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Gets each line of its log. */
  readonly onLine?: (line: string) => void;
}

/** A program of the scene in a process of its own, that can be killed and started again, stopped and continued. */
export async function startPart(name: string, { file, args = [], env = {}, onLine }: PartOptions) {
  let child: ChildProcess | undefined;
  let words = '';
  let isReady = false;
  let isWanted = true;
  const endings: string[] = [];

  async function start(): Promise<void> {
    const { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE } = process.env;
    const passedOn = Object.entries({ PATH, HOME, TMPDIR, NODE_COMPILE_CACHE }).filter(([, value]) => value);
    isReady = false;
    isWanted = true;
    const started = spawn(process.execPath, ['--max-semi-space-size=32', file, ...args], {
      env: { ...Object.fromEntries(passedOn), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    running.add(started);
    let rest = '';
    const read = (chunk: Buffer) => {
      words = (words + chunk).slice(-KEPT_CHARACTERS);
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (READY.test(line)) isReady = true;
        onLine?.(line);
      }
    };
    started.stdout.on('data', read);
    started.stderr.on('data', read);
    started.once('close', (code, signal) => {
      running.delete(started);
      if (child === started) child = undefined;
      if (isWanted) endings.push(`${name} ended by itself (${code ?? signal}): ${words.slice(-600)}`);
    });
    await until(
      `${name} is ready`,
      () => {
        if (!child) throw new Error(`${name} ended: ${words.slice(-2_000)}`);
        return isReady;
      },
      READY_MS,
    );
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    isWanted = false;
    const ending = child;
    if (!ending) return;
    const closed = once(ending, 'close');
    ending.kill(signal);
    await within(`${name} ends`, closed, END_MS);
  }

  await start();
  return {
    name,
    pid: () => child?.pid,
    /** What it has logged last. */
    words: () => words,
    /** How it ended when nobody had asked it to. */
    endings: endings as readonly string[],
    /** After `end`, or when it has ended by itself; resolves when it serves. */
    start,
    end,
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
  };
}
