import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { openDatabase } from '../../src/orchestrator/store/database.ts';
import { type EventBatch, readEvents } from '../../src/orchestrator/store/events.ts';
import { decodeEvent } from '../../src/orchestrator/wire.ts';
import { createLog } from '../../src/shared/log.ts';
import {
  as,
  collect,
  createScriptedRunner,
  eventually,
  failure,
  nothing,
  refusal,
  specOf,
  startTestOrchestrator,
  stateIn,
  untilAborted,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { until, within } from '../support/waiting.ts';

describe('a stream of events', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();
  /** What the orchestrator has logged. */
  const lines: Record<string, unknown>[] = [];

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createMigratedDatabase();
    const log = createLog('test', 'debug', { write: (line: string) => lines.push(JSON.parse(line)) });
    orchestrator = await startTestOrchestrator(databaseUrl, runner, {}, log);
  });
  after(async () => {
    await orchestrator?.close();
    await postgres?.close();
  });
  beforeEach(() => {
    runner.work = () => nothing;
  });

  const submit = async (graph: Record<string, string[]>) =>
    (await orchestrator.client.submitWorkflow({ spec: specOf(graph) })).id;
  const stream = (workflowId: string, fromEventId = 0n, replay = false) =>
    orchestrator.client.streamWorkflowEvents({ workflowId, fromEventId, replay });

  /** A runner that holds every step until it is let go. */
  function hold(): () => void {
    const released = Promise.withResolvers<void>();
    runner.work = async () => {
      await released.promise;
      return nothing;
    };
    return released.resolve;
  }

  it('resumed anywhere is the tail of the whole, of a retried workflow too', async () => {
    runner.work = ({ stepId, attempt }) => (stepId === 'b' && attempt === 1 ? failure('OOM') : nothing);
    const id = await submit({ a: [], b: ['a'], c: ['b'], d: [] });
    await collect(stream(id, 0n, true));
    await orchestrator.client.retryWorkflow({ workflowId: id });
    const all = await collect(stream(id, 0n, true));
    assert.ok(all.length > 12);
    for (let cursor = 1; cursor <= all.length + 1; cursor++) {
      assert.deepEqual(await collect(stream(id, BigInt(cursor))), all.slice(cursor), `after ${cursor}`);
    }
    assert.deepEqual(await collect(stream(id, 2n ** 64n - 1n)), [], 'after the last possible id');
    assert.deepEqual(await collect(stream(id, 3n, true)), all.slice(3), 'replay with a cursor is a resumption');
  });

  it('opened afresh begins with a snapshot, which is all that a finished workflow has to say', async () => {
    const id = await submit({ a: [] });
    await collect(stream(id, 0n, true));
    const [snapshot, ...rest] = await collect(stream(id));
    assert.equal(snapshot?.eventId, 0n);
    assert.deepEqual(snapshot?.event.value, await orchestrator.client.getWorkflow({ workflowId: id }));
    assert.deepEqual(rest, []);
  });

  it('opened afresh goes on with exactly what the snapshot does not hold yet', async () => {
    const release = hold();
    const id = await submit({ a: [], b: ['a'] });
    await eventually('a runs', async () => {
      const { stepStatuses } = await orchestrator.client.getWorkflow({ workflowId: id });
      return stepStatuses[0]?.state === JobState.RUNNING;
    });
    const live = stream(id)[Symbol.asyncIterator]();
    const { value: snapshot } = await within('the snapshot', live.next());
    assert.deepEqual([snapshot?.eventId, stateIn(snapshot)], [0n, JobState.RUNNING]);
    release();
    const rest = await collect({ [Symbol.asyncIterator]: () => live });
    const all = await collect(stream(id, 0n, true));
    assert.deepEqual(rest, all.slice(3));
  });

  it('is followed by many at once, and each sees everything', async () => {
    const release = hold();
    const id = await submit({ a: [], b: [], c: ['a', 'b'] });
    const followers = Array.from({ length: 40 }, () => collect(stream(id, 0n, true)));
    release();
    const [first, ...others] = await Promise.all(followers);
    assert.equal(stateIn(first?.at(-1)), JobState.SUCCEEDED);
    for (const other of others) assert.deepEqual(other, first);
  });

  it('goes on when the listening connection is lost', async () => {
    const release = hold();
    const id = await submit({ a: [] });
    const following = collect(stream(id, 0n, true));
    const admin = new pg.Client({ connectionString: databaseUrl });
    await admin.connect();
    try {
      const killed = await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'foldforge-orchestrator listener'`,
      );
      assert.equal(killed.rowCount, 1);
      release();
      const events = await following;
      assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
      await eventually('another listening connection', async () => {
        const { rowCount } = await admin.query(
          `select 1 from pg_stat_activity where application_name = 'foldforge-orchestrator listener'`,
        );
        return rowCount === 1;
      });
    } finally {
      await admin.end();
    }
  });

  it('is not there for a workflow that is missing or belongs to somebody else', async () => {
    const { id } = await orchestrator.client.submitWorkflow({ spec: specOf({ a: [] }) }, as('alice'));
    for (const follow of [
      () => stream('nowhere'),
      () => orchestrator.client.streamWorkflowEvents({ workflowId: id, fromEventId: 1n }, as('bob')),
    ]) {
      const error = await refusal(collect(follow()));
      assert.deepEqual([error.code, error.rawMessage], [Code.NotFound, 'workflow not found']);
    }
  });

  it('is read from the database in batches, which end with the events or the bytes that are enough', async () => {
    const id = await submit({ a: [] });
    const count = (await collect(stream(id, 0n, true))).length;
    const database = await openDatabase(databaseUrl, () => {});
    try {
      const read = async (cursor: bigint, limit: number, maxBytes: number) =>
        (await readEvents(database.pool, id, cursor, { limit, maxBytes }))!;
      const idsIn = ({ bodies }: EventBatch) => bodies.map((body) => Number(decodeEvent(body).eventId));
      const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);
      const all = await read(0n, 100, 1_000_000);
      assert.deepEqual(idsIn(all), upTo(count));
      const [first, second] = all.bodies.map(({ length }) => length);
      for (const [limit, maxBytes, expected] of [
        [2, 1_000_000, 2],
        [100, 1, 1],
        [100, first!, 1],
        [100, first! + 1, 2],
        [100, first! + second! + 1, 3],
      ] as const) {
        assert.deepEqual(idsIn(await read(0n, limit, maxBytes)), upTo(expected));
      }
      const none = await read(BigInt(count), 100, 1);
      assert.deepEqual([none.bodies.length, none.workflow.lastEventId], [0, BigInt(count)]);
      assert.equal(await readEvents(database.pool, 'nowhere', 0n, { limit: 1, maxBytes: 1 }), undefined);
    } finally {
      await database.close();
    }
  });

  it('ends at once when its reader goes away', async () => {
    const release = hold();
    const id = await submit({ a: [] });
    const abort = new AbortController();
    const events = orchestrator.client.streamWorkflowEvents({ workflowId: id }, { signal: abort.signal });
    const reader = events[Symbol.asyncIterator]();
    await within('the snapshot', reader.next());
    const reading = refusal(reader.next());
    const ends = () => lines.filter(({ method, code }) => method === 'StreamWorkflowEvents' && code === 'Canceled');
    const before = ends().length;
    abort.abort();
    assert.equal((await within('the end', reading)).code, Code.Canceled);
    // Sooner than the feed would look by itself.
    await until('the end of the stream on the other side', () => ends().length === before + 1, 4_000);
    release();
    await collect(stream(id, 0n, true));
  });

  it('ends with UNAVAILABLE when the orchestrator stops, and the step is left to the next start', async () => {
    const stopped = createScriptedRunner();
    const begun = Promise.withResolvers<void>();
    stopped.work = async (_job, _onProgress, signal) => {
      begun.resolve();
      return await untilAborted(signal);
    };
    runner.work = () => nothing;
    await orchestrator.close();
    const url = await postgres.createMigratedDatabase();
    const first = await startTestOrchestrator(url, stopped);
    const { id } = await first.client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) });
    const reading = refusal(collect(first.client.streamWorkflowEvents({ workflowId: id })));
    await within('the step', begun.promise);
    const closing = first.closeServer();
    assert.equal((await within('the end of the stream', reading)).code, Code.Unavailable);
    await within('the stop', closing);

    orchestrator = await startTestOrchestrator(url, runner);
    const events = await collect(stream(id, 0n, true));
    assert.deepEqual(
      events.map(({ eventId }) => Number(eventId)),
      [1, 2, 3, 4, 5, 6, 7],
    );
    const { state, stepStatuses } = await orchestrator.client.getWorkflow({ workflowId: id });
    assert.equal(state, JobState.SUCCEEDED);
    assert.ok(stepStatuses.every(({ error }) => error === undefined));
    const again = runner.jobs.filter(({ workflowId }) => workflowId === id);
    assert.deepEqual(
      again.map(({ stepId, attempt }) => `${stepId}#${attempt}`),
      ['a#1', 'b#1'],
    );
  });
});
