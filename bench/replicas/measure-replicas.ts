import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { median } from '../support/report.ts';
import type { Stage } from '../support/stage.ts';
import { type Scene, startScene, submitAll } from './scene.ts';

const END_BOUND_MS = 120_000;
const POLL_MS = 50;

export interface ReplicasEffort {
  /** Steps for each replica that are not measured: a new program is slow until its code is compiled. */
  readonly warmSteps: number;
  /** Workflows of one step each, which are all queued before the first of them may go on. */
  readonly steps: number;
  /** Workflows of one step that come one after the other, while nothing else is to be done. */
  readonly singles: number;
  /** How long it is watched while there is nothing to do. */
  readonly idleMs: number;
}

/** One form of the product in one round: so many replicas, on a database of their own. */
export async function measureReplicas(
  stage: Stage,
  replicaCount: number,
  { warmSteps, steps, singles, idleMs }: ReplicasEffort,
): Promise<{ readonly numbers: Record<string, number>; readonly version: string }> {
  const scene = await startScene(stage, replicaCount);
  try {
    await submitAll(scene.client, warmSteps * replicaCount);
    await scene.open();
    await untilAllEnded(scene.database);
    await scene.shut();
    await submitAll(scene.client, steps);
    const busy = await watch(stage, scene, async () => {
      await scene.open();
      await untilAllEnded(scene.database);
    });
    const idle = await watch(stage, scene, () => sleep(idleMs));
    const waitsMs = await measureWaits(scene, singles);
    const cores = (cpuMs: number) => cpuMs / busy.wallMs;
    return {
      version: scene.version,
      numbers: {
        perSecond: (steps * 1000) / busy.wallMs,
        replicasUs: (busy.replicasCpuMs * 1000) / steps,
        postgresUs: (busy.postgresCpuMs * 1000) / steps,
        cores: cores(busy.replicasCpuMs + busy.postgresCpuMs),
        transactions: busy.transactions / steps,
        logKb: busy.logBytes / 1000 / steps,
        idleReplicasMs: (idle.replicasCpuMs * 1000) / idle.wallMs,
        idlePostgresMs: (idle.postgresCpuMs * 1000) / idle.wallMs,
        waitMs: median(waitsMs),
        longestWaitMs: Math.max(...waitsMs),
        othersCores: busy.othersCores,
      },
    };
  } finally {
    await scene.close();
    await stage.clear();
  }
}

/** What is used while `work` is done. */
async function watch(stage: Stage, scene: Scene, work: () => Promise<unknown>) {
  const readOthersCores = stage.watchOthers();
  const before = {
    ...(await scene.counts()),
    replicas: scene.readReplicasCpuMs(),
    postgres: scene.readPostgresCpuMs(),
  };
  await work();
  const after = await scene.counts();
  return {
    wallMs: after.nowMs - before.nowMs,
    transactions: after.transactions - before.transactions,
    logBytes: after.logBytes - before.logBytes,
    replicasCpuMs: scene.readReplicasCpuMs() - before.replicas,
    postgresCpuMs: scene.readPostgresCpuMs() - before.postgres,
    othersCores: readOthersCores(),
  };
}

/** Throws unless every step has succeeded, once. */
async function untilAllEnded(database: pg.Client): Promise<void> {
  const deadline = performance.now() + END_BOUND_MS;
  for (;;) {
    const { rows } = await database.query(`select state from workflows where state in ('QUEUED', 'RUNNING') limit 1`);
    if (rows.length === 0) break;
    if (performance.now() > deadline) throw new Error(`steps have not ended after ${END_BOUND_MS} ms`);
    await sleep(POLL_MS);
  }
  const { rows } = await database.query(`select count(*)::integer as failed from steps where state <> 'SUCCEEDED'`);
  if (rows[0].failed > 0) throw new Error(`${rows[0].failed} steps did not succeed`);
}

/** From when a workflow was accepted until its step began, in milliseconds. */
async function measureWaits({ client, database }: Scene, count: number): Promise<number[]> {
  const waitsMs: number[] = [];
  for (let single = 0; single < count; single++) {
    await submitAll(client, 1);
    await untilAllEnded(database);
    const { rows } = await database.query(
      `select extract(epoch from s.started_at - w.created_at)::float8 * 1000 as "waitMs"
       from workflows w join steps s on s.workflow_id = w.id order by w.created_at desc limit 1`,
    );
    waitsMs.push(rows[0].waitMs);
  }
  return waitsMs;
}
