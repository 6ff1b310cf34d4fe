import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { Client } from 'pg';
import { within } from '../support/waiting.ts';

export interface Launched {
  readonly child: ChildProcess;
  /** What it printed first: its URL, or why there is none. */
  readonly said: string;
  /** Ends it properly, or with a signal. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface LaunchOptions {
  readonly program?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly env?: NodeJS.ProcessEnv;
}

const PROGRAM = path.join(import.meta.dirname, 'postgres-process.ts');

/** Runs Postgres on `dataDir` under a Node process of its own, which may be of another account or be killed. */
export async function launchPostgres(dataDir: string, options: LaunchOptions = {}): Promise<Launched> {
  const { program = PROGRAM, env = {}, ...account } = options;
  const child = spawn(process.execPath, [program, dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
    ...account,
  });
  const exited = once(child, 'exit');
  const [line] = await within('Postgres to start', once(child.stdout!, 'data'), 20_000);
  return {
    child,
    said: String(line).trim(),
    async stop(signal) {
      if (signal) child.kill(signal);
      else child.stdin!.end();
      await within('the process to end', exited, 10_000);
    },
  };
}

/** One statement on a connection of its own. */
export async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** The folder of the socket that a URL leads to. */
export function socketFolderOf(url: string): string {
  return new URL(url).searchParams.get('host')!;
}
