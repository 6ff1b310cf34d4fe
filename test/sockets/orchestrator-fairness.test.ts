import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import pg from 'pg';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { Tool } from '../../src/orchestrator/runners/runner.ts';
import {
  as,
  collect,
  createScriptedRunner,
  eventually,
  nothing,
  specOf,
  startTestOrchestrator,
  stateIn,
} from '../orchestrator/harness.ts';
import { createReplicas, fanOut, faultsIn, type Replica, untilOver } from '../orchestrator/replicas.ts';
import { type ExternalPostgres, startExternalPostgres } from '../support/external-postgres.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';

/** The only step of a workflow or one of several; times are milliseconds since 1970. */
interface Run {
  readonly workflowId: string;
  readonly owner: string | null;
  readonly acceptedMs: number;
  readonly startedMs: number;
  /** Infinity: not yet. */
  readonly finishedMs: number;
}

/** Of whoever waits in turn, no more steps begin before those of somebody who comes later than run at that moment and next. */
const MOST_OVERTAKING = 10;

describe('the order of steps', { concurrency: true }, () => {
  let postgres: ExternalPostgres;
  let objectStore: TestObjectStore;
  let replicas: ReturnType<typeof createReplicas>;
  const databases = new Set<pg.Client>();

  before(async () => {
    [postgres, objectStore] = await Promise.all([startExternalPostgres(), startTestObjectStore()]);
    replicas = createReplicas(objectStore);
  });
  after(async () => {
    await Promise.all([...databases].map((database) => database.end()));
    await replicas?.close();
    await objectStore?.close();
    await postgres?.close();
  });

  async function startTwo(settings: Readonly<Record<string, string>>) {
    const url = await postgres.createDatabase();
    const both: readonly [Replica, Replica] = await Promise.all([
      replicas.start(url, settings),
      replicas.start(url, settings),
    ]);
    const database = new pg.Client({ connectionString: url });
    await database.connect();
    databases.add(database);

    /** Those of a tool that have begun, in that order. */
    async function runs(tool: Tool): Promise<Run[]> {
      const { rows } = await database.query<Run>(
        `select s.workflow_id as "workflowId", w.owner,
                extract(epoch from w.created_at)::float8 * 1000 as "acceptedMs",
                extract(epoch from s.started_at)::float8 * 1000 as "startedMs",
                coalesce(extract(epoch from s.finished_at)::float8 * 1000, 'infinity') as "finishedMs"
         from steps s join workflows w on w.id = s.workflow_id
         where s.tool = $1 and s.started_at is not null order by s.started_at`,
        [tool],
      );
      return rows;
    }
    return { both, runs };
  }

  it('keeps to the limit of a tool in all replicas together, and leaves other tools alone', async (t) => {
    const { both, runs } = await startTwo({ CONCURRENCY_AF2: '2' });
    const limited = await both[0].client.submitWorkflow({ spec: fanOut(20, { seconds: 0.3 }, 'af2') });
    const others = await both[1].client.submitWorkflow({ spec: fanOut(20, { seconds: 0.3 }, 'proteinmpnn') });
    assert.equal((await untilOver(both[0].client, others.id)).state, JobState.SUCCEEDED);
    const waiting = await both[0].client.getWorkflow({ workflowId: limited.id });
    assert.ok(
      waiting.stepStatuses.some(({ state }) => state === JobState.QUEUED),
      'the others did not wait for it',
    );
    assert.equal((await untilOver(both[1].client, limited.id, 30_000)).state, JobState.SUCCEEDED);

    const own = await runs('af2');
    assert.equal(own.length, 20);
    t.diagnostic(
      `20 steps of 0.3 s by twos took ${((own.at(-1)!.finishedMs - own[0]!.startedMs) / 1000).toFixed(1)} s`,
    );
    assert.equal(mostAtOnce(own), 2, 'never more than two, and not one by one');
    assert.ok(mostAtOnce(await runs('proteinmpnn')) > 2, 'the others had no limit');
    for (const replica of both) assert.ok((await replica.ended()) > 0, 'both did some');
  });

  it('gives each owner its turn, and is that of coming for each of them', async (t) => {
    const { both, runs } = await startTwo({ CONCURRENCY_AF2: '1', CONCURRENCY: '1' });

    /** `slack`: those that begin at two replicas at the same time may do so in another order. */
    async function assertFair(tool: Tool, count: number, slack: number): Promise<void> {
      const spec = fanOut(1, { seconds: 0.2 }, tool);
      const own: string[] = [];
      while (own.length < count) {
        const { client } = both[own.length % 2]!;
        own.push((await client.submitWorkflow({ spec }, as('alice'))).id);
      }
      const other = await both[0].client.submitWorkflow({ spec }, as('bob'));
      const begun = await eventually(
        'more steps of both',
        async () => {
          const all = await runs(tool);
          const bobs = all.findIndex(({ owner }) => owner === 'bob');
          // After the last of all comes none.
          return bobs >= 0 && all.length > Math.min(bobs + 5, count) && all;
        },
        30_000,
      );
      const place = begun.findIndex(({ workflowId }) => workflowId === other.id);
      const { startedMs, acceptedMs } = begun[place]!;
      const overtaking = begun.filter((run) => run.startedMs > acceptedMs && run.startedMs < startedMs).length;
      t.diagnostic(`${tool}: of ${count} steps ${place - overtaking} had begun, and ${overtaking} more came before`);
      assert.ok(overtaking < MOST_OVERTAKING, `${overtaking} steps of the first owner began before that of the other`);
      const ofAlice = begun.filter(({ owner }) => owner === 'alice').map(({ workflowId }) => workflowId);
      for (const [turn, id] of ofAlice.entries()) {
        const came = own.indexOf(id);
        assert.ok(Math.abs(came - turn) <= slack, `number ${came} of ${tool} began as number ${turn}`);
      }
    }
    await Promise.all([assertFair('af2', 60, 0), assertFair('rfdiffusion', 60, 3)]);
  });

  it('lets a step that may be tried again come back by itself, after a pause that doubles, up to the limit', async () => {
    const runner = createScriptedRunner();
    const settings = { STEP_RETRIES: '2', STEP_RETRY_DELAY_SECONDS: '0.4' };
    const url = await postgres.createDatabase();
    const orchestrator = await startTestOrchestrator(url, runner, settings);
    try {
      const { client } = orchestrator;
      /** When each attempt may begin at the earliest, when it does, and when it is over, in milliseconds since 1970. */
      const passed: { readonly dueMs: number; readonly begunMs: number; readonly overMs: number }[] = [];
      const database = new pg.Client({ connectionString: url });
      await database.connect();
      databases.add(database);
      const fault = { code: 'OOM', message: 'out of memory', retryable: true };
      runner.work = async ({ workflowId, stepId, attempt }) => {
        if (stepId === 'fatal') return { fault: { ...fault, retryable: false } };
        if (stepId === 'stubborn') return attempt <= 5 ? { fault } : nothing;
        const { rows } = await database.query(
          `select extract(epoch from queued_at)::float8 * 1000 as "dueMs",
                  extract(epoch from started_at)::float8 * 1000 as "begunMs" from steps where workflow_id = $1`,
          [workflowId],
        );
        passed.push({ ...rows[0], overMs: Date.now() });
        return attempt <= 2 ? { fault } : nothing;
      };
      const submit = async (stepId: string) => {
        const { id } = await client.submitWorkflow({ spec: specOf({ [stepId]: [] }) });
        return { id, events: await collect(client.streamWorkflowEvents({ workflowId: id, replay: true })) };
      };
      const attempts = (id: string) => runner.jobs.flatMap((job) => (job.workflowId === id ? [job.requestId] : []));
      const [passing, stubborn, fatal] = await Promise.all([submit('passing'), submit('stubborn'), submit('fatal')]);

      const { QUEUED, RUNNING, SUCCEEDED, FAILED } = JobState;
      assert.deepEqual(faultsIn(passing.events), []);
      assert.equal(stateIn(passing.events.at(-1)), SUCCEEDED);
      const told = passing.events.filter(({ event }) => event.case === 'stepUpdate');
      assert.deepEqual(told.map(stateIn), [RUNNING, QUEUED, RUNNING, QUEUED, RUNNING, SUCCEEDED]);
      assert.deepEqual(
        attempts(passing.id),
        [1, 2, 3].map((attempt) => `${passing.id}/passing#${attempt}`),
      );
      // Each pause is from half to all of what it may be, which doubles. It begins after the attempt, and before it is told.
      const toldMs = told.filter((event) => stateIn(event) === QUEUED).map(({ at }) => timestampMs(at!));
      for (const [retry, mostMs] of [400, 800].entries()) {
        const { dueMs, begunMs } = passed[retry + 1]!;
        const [longestMs, shortestMs] = [dueMs - passed[retry]!.overMs, dueMs - toldMs[retry]!];
        assert.ok(longestMs >= mostMs / 2, `pause ${retry + 1} was to be ${longestMs} ms at the most`);
        assert.ok(shortestMs <= mostMs + 1, `pause ${retry + 1} was to be ${shortestMs} ms at the least`);
        assert.ok(begunMs >= dueMs, 'and was kept');
      }

      assert.deepEqual([stateIn(fatal.events.at(-1)), attempts(fatal.id).length], [FAILED, 1]);
      assert.deepEqual([stateIn(stubborn.events.at(-1)), attempts(stubborn.id).length], [FAILED, 3]);
      // Whoever asks for it again gets all attempts anew.
      await client.retryWorkflow({ workflowId: stubborn.id });
      assert.equal((await untilOver(client, stubborn.id)).state, SUCCEEDED);
      assert.equal(attempts(stubborn.id).at(-1), `${stubborn.id}/stubborn#6`);
    } finally {
      await orchestrator.close();
    }
  });
});

/** How many of the runs went on at the same time, at most. */
function mostAtOnce(runs: readonly Run[]): number {
  const counts = runs.map(
    ({ startedMs }) => runs.filter((run) => run.startedMs <= startedMs && startedMs < run.finishedMs).length,
  );
  return Math.max(...counts);
}
