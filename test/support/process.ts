import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { fileOfProgram } from './bundled-programs.ts';
import { until, within } from './waiting.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export type Program = ReturnType<typeof startProgram>;

interface ProgramOptions {
  readonly args?: readonly string[];
  /** The settings; of the test's own environment only PATH, HOME, TMPDIR and Node's cache of compiled code are passed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
}

/** Runs one of the programs in src/bin as a process of its own. It is killed with the test, if not before. */
export function startProgram(name: string, { args = [], env = {}, cwd = ROOT, uid }: ProgramOptions = {}) {
  const { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE } = process.env;
  const passedOn = Object.entries({ PATH, HOME, TMPDIR, NODE_COMPILE_CACHE });
  const inherited = Object.fromEntries(passedOn.filter(([, value]) => value));
  const child = spawn(process.execPath, [fileOfProgram(name), ...args], {
    cwd,
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid !== undefined && { uid }),
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const closed = once(child, 'close').then(([exitCode]) => {
    running.delete(child);
    return exitCode as number | null;
  });

  return {
    pid: child.pid!,
    stdout: () => stdout,
    stderr: () => stderr,
    /** The match of what it prints to standard output. */
    async prints(pattern: RegExp, boundMs = 60_000): Promise<RegExpExecArray> {
      await until(
        `${name} prints ${pattern}`,
        () => {
          if (child.exitCode !== null) throw new Error(`${name} exited with ${child.exitCode}: ${stdout}${stderr}`);
          return pattern.test(stdout);
        },
        boundMs,
      );
      return pattern.exec(stdout)!;
    },
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** The exit code; null when a signal ended it. */
    exits: (boundMs = 60_000) => within(`${name} exits`, closed, boundMs),
  };
}
