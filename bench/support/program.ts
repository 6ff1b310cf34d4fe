import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { listProcessTree } from './process-usage.ts';

const START_BOUND_MS = 30_000;
const KEPT_CHARS = 10_000;

/** A process of the benchmark. */
export interface Program {
  readonly pid: number;
  /** The port in the line with which it says that it is ready. */
  readonly port: () => Promise<number>;
  /** Milliseconds from when it was started until that line was read. */
  readonly readyMs: () => Promise<number>;
  /** Sends a message and returns the answer (see answer-messages.ts). One at a time. */
  readonly ask: <Answer>(message: object, boundMs: number) => Promise<Answer>;
  /** Ends it and its children at once. */
  readonly stop: () => Promise<void>;
}

/** What can be asked of a process that was started for `file`, at `startedAt` by performance.now(). */
export function watchProgram(file: string, child: ChildProcess, startedAt: number): Omit<Program, 'stop'> {
  // The beginning of the log has the line that says it is ready; the rest is read so that the pipe never fills.
  let log = '';
  let complaints = '';
  const ready = Promise.withResolvers<{ port: number; afterMs: number }>();
  child.stdout!.on('data', (chunk) => {
    if (log.length >= KEPT_CHARS) return;
    log += chunk;
    const port = /"address":"127\.0\.0\.1:(\d+)"/.exec(log)?.[1];
    if (port !== undefined) ready.resolve({ port: Number(port), afterMs: performance.now() - startedAt });
  });
  child.stderr!.on('data', (chunk) => {
    complaints = (complaints + chunk).slice(-KEPT_CHARS);
  });
  const assertRunning = () => {
    if (child.exitCode === null && child.signalCode === null) return;
    throw new Error(`${file} ended by itself (${child.exitCode ?? child.signalCode}): ${complaints || log}`);
  };
  const untilReady = async () => {
    const leave = new AbortController();
    const signal = AbortSignal.any([leave.signal, AbortSignal.timeout(START_BOUND_MS)]);
    try {
      assertRunning();
      // Not `exit`: what it had to say may still come.
      const end = once(child, 'close', { signal }).then(assertRunning);
      return (await Promise.race([ready.promise, end])) as Awaited<typeof ready.promise>;
    } catch (error) {
      assertRunning();
      throw new Error(`${file} is not ready after ${START_BOUND_MS} ms: ${log}`, { cause: error });
    } finally {
      leave.abort();
    }
  };

  return {
    pid: child.pid!,

    port: async () => (await untilReady()).port,

    readyMs: async () => (await untilReady()).afterMs,

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

/** Ends a process with its children, which would not notice at once. */
export function killTree(child: ChildProcess): void {
  const [, ...descendants] = listProcessTree(child.pid!);
  child.kill('SIGKILL');
  for (const pid of descendants) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has noticed.
    }
  }
}
