import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { createLog } from '../../src/shared/log.ts';

export interface TestPostgres {
  /** Makes an empty database and answers with its URL. */
  createDatabase(): Promise<string>;
  close(): Promise<void>;
}

/** A real server in a temporary folder, as quick as it gets; one per test file. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  const postgres = await startPostgres({
    dataDir: path.join(folder, 'postgres'),
    log: createLog('test', 'silent'),
    fsync: false,
  });
  let made = 0;
  return {
    async createDatabase() {
      made += 1;
      const url = new URL(postgres.url);
      const client = new Client({ connectionString: url.href });
      await client.connect();
      try {
        await client.query(`CREATE DATABASE test_${made}`);
      } finally {
        await client.end();
      }
      url.pathname = `/test_${made}`;
      return url.href;
    },
    async close() {
      await postgres.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
