import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { StartupError } from '../../shared/startup-error.ts';
import { inUse } from './lock-file.ts';
import type { Server } from './server.ts';

/** Recovery after a crash replays the log; it may take this long before we call it stuck. */
const RECOVERY_MS = 120_000;

/** What a connection meets while the server has no socket yet, or is replaying its log. */
const NOT_YET = ['ENOENT', 'ECONNREFUSED', '57P03'];

export interface EnsureDatabaseOptions {
  readonly server: Server;
  /** Where its socket is, and where its data. */
  readonly runDir: string;
  readonly dataDir: string;
  readonly database: string;
}

/** Waits until the server answers, and makes `database` when it is missing. Throws StartupError. */
export async function ensureDatabase({ server, runDir, dataDir, database }: EnsureDatabaseOptions): Promise<void> {
  let reason: string | undefined;
  void server.ended.then((words) => {
    reason = words;
  });
  const deadline = Date.now() + RECOVERY_MS;
  for (;;) {
    try {
      return await createIfMissing(runDir, database);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      const isEarly = NOT_YET.includes(code ?? '') && Date.now() < deadline;
      await Promise.race([server.ended, delay(isEarly ? 10 : 1_000)]);
      // Two starts at once may both find the directory free; Postgres lets one of them in.
      if (reason?.includes('"postmaster.pid" already exists')) throw inUse(dataDir);
      if (reason !== undefined) throw new StartupError(`Postgres did not start in ${dataDir}: ${reason}`);
      if (isEarly) continue;
      throw new StartupError(`Postgres in ${dataDir} does not answer: ${message}`, undefined, { cause: error });
    }
  }
}

/** A connection string that leaves nothing for the user's PG* variables to fill in. */
export function urlOf(runDir: string, database: string): string {
  return `postgresql://postgres@localhost:5432/${database}?host=${encodeURIComponent(runDir)}&sslmode=disable`;
}

async function createIfMissing(runDir: string, database: string): Promise<void> {
  // A blank is as good as no options, and keeps PGOPTIONS out.
  const client = new Client({ connectionString: urlOf(runDir, 'postgres'), options: ' ' });
  client.on('error', () => {}); // When the server ends meanwhile, connect or query rejects too.
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
}
