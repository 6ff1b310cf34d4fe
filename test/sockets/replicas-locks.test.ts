import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { collect, eventually } from '../orchestrator/harness.ts';
import { fanOut, mockSpec, type Replica, useReplicas } from '../orchestrator/replicas.ts';

const OLDEST_BEAT_S = 5;
/** For so long the lock is held and looked at what becomes of the others, and this often. */
const HELD_MS = 6_000;
const LOOK_MS = 100;

describe('replicas while somebody holds a lock for long', { concurrency: true }, () => {
  const cluster = useReplicas();

  /** A database with a session that can hold a lock, and one that can look on. */
  async function openScene() {
    const databaseUrl = await cluster.postgres.createDatabase();
    const [holder, onlooker] = [0, 0].map(() => new pg.Client({ connectionString: databaseUrl }));
    await Promise.all([holder!.connect(), onlooker!.connect()]);
    return {
      databaseUrl,
      onlooker: onlooker!,
      async lock(sql: string, values: readonly unknown[]): Promise<void> {
        await holder!.query('begin');
        const { rowCount } = await holder!.query(sql, [...values]);
        assert.ok(rowCount! > 0, 'something is locked');
      },
      release: () => holder!.query('rollback'),
      /** How old the last sign of life is of whoever has been silent for longest among these, in seconds. */
      async oldestBeat(executorIds: readonly string[]): Promise<number> {
        const { rows } = await onlooker!.query<{ age: number }>(
          `select extract(epoch from max(clock_timestamp() - beat_at))::double precision as age
           from executors where id = any($1)`,
          [executorIds],
        );
        return rows[0]!.age;
      },
      close: () => Promise.all([holder!.end(), onlooker!.end()]),
    };
  }

  it('answer for all other workflows, and stay alive, when it is the row of one with fifty steps', async () => {
    const scene = await openScene();
    try {
      const both = await Promise.all(
        [0, 1].map(() => cluster.replicas.start(scene.databaseUrl, { CONCURRENCY: '40' })),
      );
      const { client } = both[0]!;
      const other = await client.submitWorkflow({ spec: mockSpec({ a: { seconds: 0 } }) });
      const { id } = await client.submitWorkflow({ spec: fanOut(50, { seconds: 3 }) });
      await eventually('the leaves', async () => (await sum(both)) >= 20);
      await scene.lock('select from workflows where id = $1 for update', [id]);
      const isStuck = async () => {
        const { rows } = await scene.onlooker.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
        );
        return rows.length > 0;
      };
      await eventually('someone who waits for the lock', isStuck);
      for (const endMs = performance.now() + HELD_MS; performance.now() < endMs; await sleep(LOOK_MS)) {
        for (const replica of both) {
          await replica.client.getWorkflow({ workflowId: other.id }, { timeoutMs: 2_000 });
          assert.equal(await replica.isServing(2_500), true);
        }
        const age = await scene.oldestBeat(both.map(({ executorId }) => executorId));
        assert.ok(age < OLDEST_BEAT_S, `somebody has been silent for ${age} s`);
      }
      await scene.release();
      const events = await collect(client.streamWorkflowEvents({ workflowId: id, replay: true }));
      assert.deepEqual(
        events.map(({ eventId }) => eventId),
        events.map((_, index) => BigInt(index + 1)),
      );
      assert.equal((await client.getWorkflow({ workflowId: id })).state, JobState.SUCCEEDED);
    } finally {
      await scene.close();
    }
  });

  it('stay alive when it is what a dead one was running', async () => {
    const scene = await openScene();
    try {
      const dead = await cluster.replicas.start(scene.databaseUrl);
      const { id } = await dead.client.submitWorkflow({ spec: mockSpec({ a: { seconds: 60 } }) });
      await eventually('the step runs', async () => (await dead.inFlight()) === 1);
      const alive = await cluster.replicas.start(scene.databaseUrl);
      const entry = `${id}/a#1`;
      await scene.lock('select from dbos.workflow_status where workflow_uuid = $1 for update', [entry]);
      dead.kill('SIGKILL');
      const isReaping = async () => {
        const { rows } = await scene.onlooker.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
        );
        return rows.length > 0;
      };
      await eventually('the reap that waits', isReaping, 15_000);
      for (const endMs = performance.now() + HELD_MS; performance.now() < endMs; await sleep(LOOK_MS)) {
        const age = await scene.oldestBeat([alive.executorId]);
        assert.ok(age < OLDEST_BEAT_S, `it has been silent for ${age} s`);
        assert.equal(await alive.isServing(2_500), true);
      }
      await scene.release();
      await eventually('the take-over', async () => (await alive.inFlight()) === 1, 10_000);
    } finally {
      await scene.close();
    }
  });

  it('get back at once what one that stands still holds', async () => {
    const scene = await openScene();
    const spec = mockSpec({ a: { seconds: 60 } });
    const still = await cluster.replicas.start(scene.databaseUrl);
    const { id } = await still.client.submitWorkflow({ spec });
    await eventually('the step runs', async () => (await still.inFlight()) === 1);
    // A session under its name, in the middle of a transaction: what a process that is stopped there leaves.
    const { rows } = await scene.onlooker.query<{ name: string }>(
      `select application_name as name from pg_stat_activity where application_name like 'foldforge-orchestrator calls %'
       and datname = current_database() limit 1`,
    );
    const held = new pg.Client({ connectionString: scene.databaseUrl, application_name: rows[0]!.name });
    held.on('error', () => {});
    try {
      const alive = await cluster.replicas.start(scene.databaseUrl);
      still.kill('SIGSTOP');
      // Later than its last sign of life, as a session may be that it opened just before.
      await held.connect();
      await held.query('begin');
      await held.query('select from dbos.workflow_status where workflow_uuid = $1 for update', [`${id}/a#1`]);
      await eventually('the take-over', async () => (await alive.inFlight()) === 1, 15_000);
    } finally {
      still.kill('SIGCONT');
      await held.end().catch(() => {});
      await scene.close();
    }
  });

  async function sum(all: readonly Replica[]): Promise<number> {
    return (await Promise.all(all.map((replica) => replica.inFlight()))).reduce((a, b) => a + b, 0);
  }
});
