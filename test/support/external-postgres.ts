import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { type Account, choosePostgresAccount, launchAs, runAs } from '../../src/embedded/postgres/account.ts';
import { readLockFile, waitUntilFree } from '../../src/embedded/postgres/lock-file.ts';
import { createRunFolder } from '../../src/embedded/postgres/run-folder.ts';
import { WATCHDOG } from '../../src/embedded/postgres/watchdog.ts';
import { killFamily } from './external-postgres/processes.ts';
import { findPostgresPrograms, type PostgresPrograms } from './external-postgres/programs.ts';
import { findStablePorts } from './stable-ports.ts';
import { until, within } from './waiting.ts';

/** Recovery after a kill replays what the run has written since the last checkpoint. */
const START_MS = 60_000;
const STOP_MS = 30_000;

/**
 * Durable against the death of every process of Postgres, not against that of the machine: what a commit has written is
 * then in the system's own memory. So without fsync nothing that was committed is lost by a kill, but it would be with
 * synchronous_commit off, which keeps it in the memory of Postgres for a while.
 */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  shared_buffers: '64MB',
  jit: 'off',
  logging_collector: 'off',
  log_destination: 'stderr',
};

export interface ExternalPostgres {
  /** The maintenance database, for the superuser: postgresql://user:password@127.0.0.1:port/postgres */
  readonly url: string;
  readonly kind: PostgresPrograms['kind'];
  /** Such as 15.18. */
  readonly version: string;
  /** Makes an empty database and answers with its URL. */
  createDatabase(): Promise<string>;
  /** SIGKILL for all of its processes at once; resolves when they are gone. */
  kill(): Promise<void>;
  /** A fast shutdown: every session is ended. */
  stop(): Promise<void>;
  /** After `kill` or `stop`: on the same port, with the same data; resolves when it answers. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** A server of its own on a TCP port of the loopback address, with a password; it ends with this process at the latest. */
export async function startExternalPostgres(): Promise<ExternalPostgres> {
  const account = choosePostgresAccount(os.tmpdir());
  const folder = await createRunFolder(account);
  try {
    const programs = await findPostgresPrograms(account, folder);
    const password = randomBytes(12).toString('hex');
    await makeData({ programs, account, folder, password });
    const [port] = await findStablePorts(1);
    const server = createServer({ programs, account, folder, port: port! });
    const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
    const start = async () => {
      await server.start();
      await until('Postgres answers', () => server.isAnswering(url), START_MS);
    };
    await start();
    let made = 0;
    return {
      url,
      kind: programs.kind,
      version: programs.version,
      async createDatabase() {
        const name = `test_${++made}`;
        await query(url, `create database ${name}`);
        return url.replace(/postgres$/, name);
      },
      kill: server.kill,
      stop: server.stop,
      start,
      async close() {
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

interface Place {
  readonly programs: PostgresPrograms;
  readonly account: Account | undefined;
  readonly folder: string;
}

async function makeData({ programs, account, folder, password }: Place & { readonly password: string }): Promise<void> {
  const passwordFile = path.join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (account) chownSync(passwordFile, account.uid, account.gid);
  const auth = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth-local=reject', '--auth-host=scram-sha-256'];
  const args = ['-D', path.join(folder, 'data'), ...auth, '--encoding=UTF8', '--locale=C', '--no-sync'];
  await runAs(account, folder, programs.initdb, args);
}

function createServer({ programs, account, folder, port }: Place & { readonly port: number }) {
  const dataDir = path.join(folder, 'data');
  const runDir = path.join(folder, 'run');
  let child: ChildProcess | undefined;
  let words = '';

  async function start(): Promise<void> {
    if (child) throw new Error('Postgres runs already');
    await waitUntilFree(dataDir, account);
    mkdirSync(runDir, { mode: 0o700 });
    if (account) chownSync(runDir, account.uid, account.gid);
    const settings = Object.entries({ ...SETTINGS, listen_addresses: '127.0.0.1', port: String(port) });
    const args = ['-D', dataDir, '-k', runDir, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
    words = '';
    child = spawn('/bin/sh', ['-c', WATCHDOG, 'sh', runDir, programs.postgres, ...args], {
      ...launchAs(account),
      cwd: folder,
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    child.stdin!.on('error', () => {}); // The pipe of a server that has ended already.
    child.stderr!.on('data', (chunk) => {
      words = (words + chunk).slice(-4_000);
    });
  }

  async function isAnswering(url: string): Promise<boolean> {
    if (!child || child.exitCode !== null) throw new Error(`Postgres ended: ${words}`);
    try {
      await query(url, 'select 1');
      return true;
    } catch (error) {
      // Nobody listens yet, or it is starting up.
      if (['ECONNREFUSED', 'ECONNRESET', '57P03'].includes(String((error as { code?: unknown }).code))) return false;
      throw error;
    }
  }

  async function gone(): Promise<void> {
    if (child?.exitCode === null) await within('Postgres to end', once(child, 'close'), STOP_MS);
    child = undefined;
  }

  async function kill(): Promise<void> {
    const pid = readLockFile(dataDir)?.pid;
    if (!child || !pid) throw new Error('Postgres does not run');
    await killFamily(pid);
    await gone();
  }

  async function stop(): Promise<void> {
    // The end of its input asks for a fast shutdown.
    child?.stdin?.end();
    await gone();
  }

  return { start, isAnswering, kill, stop };
}

async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {}); // When the server ends meanwhile, connect or query rejects too.
  try {
    await client.connect();
    await client.query(sql);
  } finally {
    await client.end();
  }
}
