import { fillDatabase } from '../../scripts/fill/fill.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { readOrchestratorConfig } from '../../src/orchestrator/config.ts';
import { startOrchestrator } from '../../src/orchestrator/orchestrator.ts';
import type { Runner } from '../../src/orchestrator/runners/runner.ts';
import { openDatabase } from '../../src/orchestrator/store/database.ts';
import { createLog } from '../../src/shared/log.ts';
import { answerMessages } from '../support/answer-messages.ts';
import { type AskEffort, askInTurns } from './ask-in-turns.ts';
import { QUESTIONS } from './questions.ts';
import { openSubject, type Subject } from './subject.ts';

export interface Prepare {
  /** How many workflows each of the two databases has. */
  readonly small: number;
  readonly large: number;
  readonly eventsEach: number;
}

export type Message = { readonly prepare: Prepare } | { readonly ask: AskEffort };

export interface Prepared {
  readonly version: string;
  /** Of the large database. */
  readonly steps: number;
  readonly events: number;
  readonly gigabytes: number;
  readonly fillSeconds: number;
}

const log = createLog('growth', 'warn');
const idle: Runner = {
  findFault: () => undefined,
  run: async () => ({ output: { artifacts: [], sequences: [] } }),
  close: async () => {},
};
let subjects: { readonly small: Subject; readonly large: Subject } | undefined;

// A process of its own, with a Postgres in the folder that its argument names.
const postgres = await startPostgres({ dataDir: process.argv[2]!, log });
answerMessages(async (message: Message) => {
  if ('prepare' in message) return await prepare(message.prepare);
  return await askInTurns(subjects!, QUESTIONS, message.ask);
});

async function prepare({ small, large, eventsEach }: Prepare): Promise<Prepared> {
  const smallUrl = await makeDatabase('small');
  const largeUrl = await makeDatabase('large');
  await fillDatabase(smallUrl, { workflows: small, events: small * eventsEach });
  const startedAt = performance.now();
  const { steps, events } = await fillDatabase(largeUrl, { workflows: large, events: large * eventsEach });
  const fillSeconds = (performance.now() - startedAt) / 1000;
  subjects = { small: await openSubject(smallUrl), large: await openSubject(largeUrl) };
  const { rows } = await subjects.large.db.query<{ version: string; bytes: bigint }>(
    `select current_setting('server_version') as version, pg_database_size(current_database()) as bytes`,
  );
  const { version, bytes } = rows[0]!;
  return { version, steps, events, gigabytes: Number(bytes) / 1e9, fillSeconds };
}

/** With the tables of an orchestrator that has been there. */
async function makeDatabase(name: string): Promise<string> {
  const { pool, close } = await openDatabase(postgres.url, () => {});
  await pool.query(`create database ${name}`).finally(close);
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  const config = readOrchestratorConfig({
    FOLDFORGE_ORCH__DATABASE_URL: url.href,
    FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
    FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
  });
  const onReplaced = () => log.error('another orchestrator came to the database');
  await (await startOrchestrator(config, { log, runner: idle, onReplaced })).close();
  return url.href;
}
