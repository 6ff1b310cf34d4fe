import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { findBinaries } from '../../src/embedded/postgres/binaries.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { createLog } from '../../src/shared/log.ts';
import { makeOnce } from './made-once.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** A database in every data directory that `copyTemplate` makes: an orchestrator has started on it once, and left no rows. */
export const MIGRATED = 'migrated';

/**
 * Puts a data directory at `dataDir`: a copy of one that is made once for this Postgres, this account and this schema,
 * because initdb and the migrations take longer than many a test. Answers false where there is no place to keep one.
 */
export async function copyTemplate(dataDir: string): Promise<boolean> {
  const template = await prepareTemplate();
  if (template === undefined) return false;
  await promisify(execFile)('cp', ['-a', template, dataDir]);
  return true;
}

/** Makes the template unless it is there, and answers with its path. */
export async function prepareTemplate(): Promise<string | undefined> {
  const folder = path.join(ROOT, 'node_modules/.cache/postgres', keyOfTemplate());
  const isThere = await makeOnce(folder, makeTemplate);
  return isThere ? path.join(folder, 'data') : undefined;
}

/** Changes with whatever may change what is in the template. */
function keyOfTemplate(): string {
  const hash = createHash('sha256');
  const packages = [path.join(findBinaries(), '..'), path.join(ROOT, 'node_modules/@dbos-inc/dbos-sdk')];
  const sources = globSync('src/{embedded,orchestrator}/**/*.ts', { cwd: ROOT }).sort();
  const files = [...packages.map((folder) => path.join(folder, 'package.json')), ...sources, import.meta.filename];
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(path.resolve(ROOT, file)));
  return `${hash.digest('hex').slice(0, 20)}-${process.getuid?.() ?? 'any'}`;
}

async function makeTemplate(folder: string): Promise<void> {
  const dataDir = path.join(folder, 'data');
  const postgres = await startPostgres({ dataDir, log: createLog('test', 'silent'), fsync: false });
  try {
    await migrate(postgres.url);
  } finally {
    await postgres.close();
  }
}

async function migrate(url: string): Promise<void> {
  await run(url, [`create database ${MIGRATED}`]);
  const migrated = new URL(url);
  migrated.pathname = `/${MIGRATED}`;
  const { createScriptedRunner, startTestOrchestrator } = await import('../orchestrator/harness.ts');
  await (await startTestOrchestrator(migrated.href, createScriptedRunner())).close();
  // What it registered of itself, as the next one does.
  await run(migrated.href, ['truncate dbos.queues, dbos.application_versions, executors', 'vacuum analyze']);
}

async function run(url: string, statements: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
