import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../shared/log.ts';
import { type Account, launchAs } from './account.ts';
import type { PostgresBinaries } from './binaries.ts';
import { findWayTo } from './data-directory.ts';
import { readLockFile } from './lock-file.ts';
import { reasonIn } from './startup-reason.ts';
import { WATCHDOG } from './watchdog.ts';

export interface ServerOptions {
  readonly dataDir: string;
  readonly runDir: string;
  readonly binaries: PostgresBinaries;
  readonly account: Account | undefined;
  readonly fsync: boolean;
  readonly log: Log;
}

export interface Server {
  /** Resolves with the server's reason when it has ended, asked or not. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

/** How long a fast shutdown may take before an immediate one follows, and that before the kill. */
const FAST_MS = 15_000;
const IMMEDIATE_MS = 5_000;

/** Starts a server that listens in `runDir` and ends with this process. It may not answer yet, and may end instead. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { dataDir, runDir, binaries, account, log } = options;
  const { cwd, dir } = await findWayTo(dataDir, account);
  const command = [binaries.postgres, '-D', dir, '-k', runDir, ...settings(options)];
  const child = spawn('/bin/sh', ['-c', WATCHDOG, 'sh', runDir, ...command], {
    ...launchAs(account),
    cwd,
    // A Ctrl-C in the terminal is for us: we say when the server stops.
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  child.stdin.on('error', () => {}); // The pipe of a server that has ended already.

  const words: string[] = [];
  const lines = createInterface({ input: child.stderr });
  lines.on('line', (line) => {
    log.debug({ postgres: line }, 'postgres');
    words.push(line);
    if (words.length > 20) words.shift();
  });

  const silence = once(lines, 'close');
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', async () => {
      // Its last words may still be in the pipe, and the pipe in the hands of a stray child.
      await Promise.race([silence, delay(500, undefined, { ref: false })]);
      resolve(reasonIn(words.join('\n')));
    });
  });

  // A program that forgets close() may end; the server follows it.
  const pipes = [child.stdin, child.stderr] as unknown as [Socket, Socket];
  for (const handle of [child, ...pipes]) handle.unref();

  async function stop(): Promise<void> {
    for (const handle of [child, ...pipes]) handle.ref();
    child.stdin.end();
    if (await settles(ended, FAST_MS)) return;
    log.warn('the embedded Postgres is slow to stop; its sessions are cut off');
    signal(readLockFile(dataDir)?.pid, 'SIGQUIT');
    if (await settles(ended, IMMEDIATE_MS)) return;
    signal(child.pid && -child.pid, 'SIGKILL');
    await ended;
  }

  let closing: Promise<void> | undefined;
  return {
    ended,
    close() {
      closing ??= stop();
      return closing;
    },
  };
}

/** To a process, or to a group of them when `pid` is negative; one that has just ended needs none. */
function signal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid) process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function settles(promise: Promise<unknown>, withinMs: number): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(withinMs, false, { signal: timer.signal }).catch(() => false);
  const settled = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return settled;
}

function settings({ fsync }: ServerOptions): string[] {
  const values = {
    listen_addresses: '',
    unix_socket_permissions: '0700',
    max_connections: '60',
    shared_buffers: '64MB',
    huge_pages: 'off',
    jit: 'off',
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '',
    ...(!fsync && { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }),
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
