import { chmodSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import pg from 'pg';
import { OrchestratorService, WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { readCpuMs, readTreeCpuMs } from '../support/process-usage.ts';
import type { Program } from '../support/program.ts';
import type { Stage } from '../support/stage.ts';
import type { DatabaseAnswer, DatabaseMessage } from './database.ts';
import type { OrchestratorAnswer, OrchestratorMessage } from './orchestrator.ts';

const ANSWER_BOUND_MS = 30_000;
const SUBMISSIONS_AT_A_TIME = 16;

/** What the database says of itself; the difference between two of them tells what was done in between. */
export interface DatabaseCounts {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Transactions that have written something. */
  readonly transactions: number;
  readonly logBytes: number;
}

export type Scene = Awaited<ReturnType<typeof startScene>>;

/** A Postgres with an empty database, and so many orchestrators on it, whose steps wait at a gate. */
export async function startScene(stage: Stage, replicaCount: number) {
  // Postgres runs as somebody else, who has to get there.
  const folder = stage.makeFolder();
  chmodSync(folder, 0o711);
  const server = stage.start('bench/replicas/database.ts', { place: 'both', env: { TMPDIR: folder } });
  await server.port();
  const { url, version } = await server.ask<DatabaseAnswer>(
    { create: true } satisfies DatabaseMessage,
    ANSWER_BOUND_MS,
  );
  const replicas: Program[] = [];
  for (let replica = 1; replica <= replicaCount; replica++) {
    const program = stage.start('bench/replicas/orchestrator.ts', {
      place: 'both',
      nodeFlags: ['--max-semi-space-size=32'],
      args: [stage.productRoot],
      env: {
        FOLDFORGE_ORCH__DATABASE_URL: url,
        FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
        FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
        FOLDFORGE_ORCH__EXECUTOR_ID: `bench-${replica}`,
        FOLDFORGE_ORCH__LOG_LEVEL: 'warn',
      },
    });
    await program.port();
    replicas.push(program);
  }
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  const sessions = new Http2SessionManager(`http://127.0.0.1:${await replicas[0]!.port()}`);
  const transport = createGrpcTransport({ baseUrl: sessions.authority, sessionManager: sessions });
  const client = createClient(OrchestratorService, transport);
  const postmaster = await readPostmaster(database);

  async function turnGate(open: boolean): Promise<void> {
    for (const replica of replicas) {
      await replica.ask<OrchestratorAnswer>({ open } satisfies OrchestratorMessage, ANSWER_BOUND_MS);
    }
  }

  return {
    version,
    client,
    database,
    /** Lets all steps go on. */
    open: () => turnGate(true),
    /** Keeps those that begin from now on. */
    shut: () => turnGate(false),
    readReplicasCpuMs: () => replicas.reduce((sum, { pid }) => sum + readCpuMs(pid), 0),
    readPostgresCpuMs: () => readTreeCpuMs(postmaster),
    counts: () => readCounts(database),
    async close(): Promise<void> {
      sessions.abort();
      await database.end();
    },
  };
}

/** Submits so many workflows of single steps. */
export async function submitAll(client: Client<typeof OrchestratorService>, count: number): Promise<void> {
  const spec = create(WorkflowSpecSchema, { name: 'bench', steps: [{ id: 'step', tool: 'rfdiffusion' }] });
  let left = count;
  const submitters = Array.from({ length: SUBMISSIONS_AT_A_TIME }, async () => {
    while (left-- > 0) await client.submitWorkflow({ spec });
  });
  await Promise.all(submitters);
}

/** The process that all others of Postgres are children of. */
async function readPostmaster(database: pg.Client): Promise<number> {
  const { rows } = await database.query(`select split_part(pg_read_file('postmaster.pid'), e'\\n', 1)::integer as pid`);
  return rows[0].pid;
}

async function readCounts(database: pg.Client): Promise<DatabaseCounts> {
  const { rows } = await database.query(
    `select extract(epoch from clock_timestamp())::float8 * 1000 as "nowMs",
            pg_current_xact_id()::text::float8 as transactions,
            (pg_current_wal_lsn() - '0/0')::float8 as "logBytes"`,
  );
  return rows[0];
}
