import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { createLog } from '../../src/shared/log.ts';
import { copyTemplate, MIGRATED } from './postgres-template.ts';

export interface TestPostgres {
  /** Makes an empty database and answers with its URL. */
  createDatabase(): Promise<string>;
  /** Makes one on which an orchestrator has started once already: its schema is there, and not a row. */
  createMigratedDatabase(): Promise<string>;
  close(): Promise<void>;
}

/** A real server in a temporary folder, as quick as it gets; one per test file. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  const dataDir = path.join(folder, 'postgres');
  const isCopy = await copyTemplate(dataDir);
  const postgres = await startPostgres({ dataDir, log: createLog('test', 'silent'), fsync: false });
  let made = 0;

  async function create(template: string): Promise<string> {
    made += 1;
    const url = new URL(postgres.url);
    const client = new Client({ connectionString: url.href });
    await client.connect();
    try {
      // Without fsync, to copy the files costs less than to write them down in the log.
      await client.query(`create database test_${made} template ${template} strategy file_copy`);
    } finally {
      await client.end();
    }
    url.pathname = `/test_${made}`;
    return url.href;
  }

  return {
    createDatabase: () => create('template1'),
    createMigratedDatabase: () => create(isCopy ? MIGRATED : 'template1'),
    async close() {
      await postgres.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
