import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { WorkflowEvent } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { startEventRetention, tidyEvents } from '../../src/orchestrator/engine/event-retention.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import { deleteOldEvents, findOldEvents, type OldEventsPage } from '../../src/orchestrator/store/old-events.ts';
import { createLog } from '../../src/shared/log.ts';
import { startCable } from '../orchestrator/cable.ts';
import {
  collect,
  createScriptedRunner,
  eventually,
  failure,
  nothing,
  refusal,
  specOf,
  startTestOrchestrator,
  stateIn,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { within } from '../support/waiting.ts';

const DAY_MS = 24 * 3600 * 1000;
const silent = createLog('test', 'silent');

describe('the retention of events', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let database: Database;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createMigratedDatabase();
    orchestrator = await startTestOrchestrator(databaseUrl, runner);
    database = await openDatabase(databaseUrl, () => {});
  });
  after(async () => {
    await orchestrator?.close();
    await database?.close();
    await postgres?.close();
  });
  beforeEach(() => {
    runner.work = () => nothing;
  });

  const stream = (workflowId: string, fromEventId = 0n, replay = fromEventId === 0n) =>
    orchestrator.client.streamWorkflowEvents({ workflowId, fromEventId, replay });
  const submit = async (graph: Record<string, string[]> = { a: [], b: ['a'] }) =>
    (await orchestrator.client.submitWorkflow({ spec: specOf(graph) })).id;

  /** A workflow that is over, with all its events. */
  async function finished(): Promise<{ id: string; all: WorkflowEvent[] }> {
    const id = await submit();
    return { id, all: await collect(stream(id)) };
  }

  /** Makes workflows look as if their story had taken place `days` earlier. */
  async function age(days: number, ...ids: string[]): Promise<void> {
    const { rowCount } = await database.pool.query(
      `update workflows set created_at = created_at - $2 * interval '1 day', updated_at = updated_at - $2 * interval '1 day'
       where id = any($1)`,
      [ids, days],
    );
    assert.equal(rowCount, ids.length);
  }

  async function stored(id: string): Promise<number[]> {
    const { rows } = await database.pool.query<{ eventId: bigint }>(
      'select event_id as "eventId" from events where workflow_id = $1 order by event_id',
      [id],
    );
    return rows.map(({ eventId }) => Number(eventId));
  }

  const uncounted = { eventsDeleted: () => {} };
  const tidy = (days: number, { pool } = database) =>
    tidyEvents({ pool }, days * DAY_MS, uncounted, new AbortController().signal);

  /** Checks that nothing was left out but what a gap tells of; answers the gaps and the last id. */
  function follow(events: readonly WorkflowEvent[], from = 0n) {
    const gaps: [requested: bigint, oldest: bigint][] = [];
    let last = from;
    let next = from + 1n;
    for (const { workflowId, eventId, at, event } of events) {
      assert.ok(workflowId && at);
      if (event.case === 'gap') {
        const { requested, oldest } = event.value;
        assert.deepEqual([eventId, requested, next], [0n, last, last + 1n], 'a gap tells where it begins');
        assert.ok(oldest > next, 'a gap leaves something out');
        gaps.push([requested, oldest]);
        next = oldest;
      } else {
        assert.equal(eventId, next);
        last = eventId;
        next = last + 1n;
      }
    }
    assert.equal(next, last + 1n, 'no gap is the end');
    return { gaps, last };
  }

  it('begins with the end of a workflow, and leaves its last event', async () => {
    const release = Promise.withResolvers<void>();
    const [old, recent] = [await finished(), await finished()];
    runner.work = async () => {
      await release.promise;
      return nothing;
    };
    const running = await submit();
    await eventually('a runs', async () => (await stored(running)).length === 3);
    await age(1.1, old.id);
    await age(0.9, recent.id);
    await age(1000, running);
    assert.equal(await tidy(1), old.all.length - 1);
    assert.deepEqual(await stored(old.id), [old.all.length]);
    assert.equal((await stored(recent.id)).length, recent.all.length);
    assert.deepEqual(await stored(running), [1, 2, 3]);
    assert.equal(await tidy(1), 0, 'nothing is left to do');
    release.resolve();
    await collect(stream(running));
  });

  it('shows at every cursor as a gap and the rest, wherever the rest begins', async () => {
    const { id, all } = await finished();
    await age(1, id);
    const snapshot = await collect(stream(id, 0n, false));
    for (let deleted = 0; deleted < all.length; deleted++) {
      if (deleted > 0) assert.equal(await deleteOldEvents(database.pool, id, 1, 1), 1);
      for (let cursor = 0; cursor <= all.length + 2; cursor++) {
        const events = await collect(stream(id, BigInt(cursor)));
        const rest = all.slice(Math.max(cursor, deleted));
        const gap = events[0]?.event.case === 'gap' ? events.shift() : undefined;
        assert.deepEqual(events, rest, `${deleted} deleted, after ${cursor}`);
        assert.deepEqual(
          gap && [gap.workflowId, gap.eventId, gap.at, gap.event.value],
          cursor < deleted
            ? [
                id,
                0n,
                rest[0]!.at,
                {
                  $typeName: 'foldforge.orchestrator.v1.EventGap',
                  requested: BigInt(cursor),
                  oldest: BigInt(deleted + 1),
                },
              ]
            : undefined,
          `${deleted} deleted, the gap after ${cursor}`,
        );
      }
      assert.deepEqual(await collect(stream(id, 0n, false)), snapshot, 'a snapshot leaves nothing out');
    }
    assert.equal(await deleteOldEvents(database.pool, id, 1, 1), 0, 'the last event stays');
    assert.deepEqual(await stored(id), [all.length]);
  });

  it('does not touch a cursor that is ahead of a running workflow', async () => {
    const release = Promise.withResolvers<void>();
    runner.work = async () => {
      await release.promise;
      return nothing;
    };
    const id = await submit();
    await eventually('a runs', async () => (await stored(id)).length === 3);
    const ahead = collect(stream(id, 5n));
    release.resolve();
    assert.deepEqual(follow(await ahead, 5n), { gaps: [], last: 7n });
  });

  it('is no end: ids go on after a retry, and a late reader gets the gap and all that is newer', async () => {
    runner.work = ({ stepId, attempt }) => (stepId === 'b' && attempt === 1 ? failure('OOM') : nothing);
    const { id, all } = await finished();
    const end = BigInt(all.length);
    assert.equal(stateIn(all.at(-1)), JobState.FAILED);
    await age(2, id);
    await tidy(1);
    const release = Promise.withResolvers<void>();
    runner.work = async () => {
      await release.promise;
      return nothing;
    };
    await orchestrator.client.retryWorkflow({ workflowId: id });
    await tidy(1);
    assert.equal((await stored(id))[0], all.length, 'a workflow that is open again keeps what it has');
    const late = [0n, 2n, end - 1n, end].map((cursor) => collect(stream(id, cursor)));
    release.resolve();
    const [fromStart, fromTwo, fromBeforeEnd, fromEnd] = await Promise.all(late);
    const last = BigInt((await stored(id)).at(-1)!);
    assert.ok(last > end);
    assert.deepEqual(follow(fromStart!), { gaps: [[0n, end]], last });
    assert.deepEqual(follow(fromTwo!, 2n), { gaps: [[2n, end]], last });
    assert.deepEqual(follow(fromBeforeEnd!, end - 1n), { gaps: [], last });
    assert.deepEqual(follow(fromEnd!, end), { gaps: [], last });
    assert.equal(stateIn(fromEnd!.at(-1)), JobState.SUCCEEDED);
    await age(2, id);
    await tidy(1);
    assert.deepEqual(await stored(id), [Number(last)], 'its old end is deleted with the rest');
  });

  it('tells a reader in the middle of a replay what was deleted under it', async () => {
    runner.work = () => failure('OOM');
    // Events so large that they do not all fit between the store and a reader that takes nothing.
    const spec = specOf({ a: [] });
    spec.steps[0]!.params = { text: 'x'.repeat(300_000) };
    const { id } = await orchestrator.client.submitWorkflow({ spec });
    let all = await collect(stream(id));
    for (let retry = 0; retry < 10; retry++) {
      await orchestrator.client.retryWorkflow({ workflowId: id });
      all = [...all, ...(await collect(stream(id, all.at(-1)!.eventId)))];
    }
    follow(all);
    const reader = stream(id)[Symbol.asyncIterator]();
    const first = await within('the first event', reader.next());
    await age(2, id);
    await tidy(1);
    assert.deepEqual(await stored(id), [all.length]);
    const rest = await collect({ [Symbol.asyncIterator]: () => reader });
    const { gaps, last } = follow([first.value!, ...rest]);
    assert.deepEqual([gaps.length, last], [1, BigInt(all.length)]);
    assert.ok(gaps[0]![0] > 0n);
    assert.equal(stateIn(rest.at(-1)), JobState.FAILED);
  });

  it('deletes a long history, in as many batches as it takes', async () => {
    const { id } = await finished();
    await database.pool.query(
      `insert into events select workflow_id, more, body from events, generate_series(8, 1500) as more
       where workflow_id = $1 and event_id = 7`,
      [id],
    );
    await database.pool.query('update workflows set last_event_id = 1500 where id = $1', [id]);
    await age(2, id);
    const batches: number[] = [];
    const metrics = { eventsDeleted: (count: number) => batches.push(count) };
    assert.equal(await tidyEvents(database, DAY_MS, metrics, new AbortController().signal), 1499);
    assert.deepEqual(await stored(id), [1500]);
    assert.ok(batches.length > 2 && batches.every((count) => count <= 500), String(batches));
    const stopped = AbortSignal.abort(new Error('stopped'));
    await assert.rejects(tidyEvents(database, DAY_MS, metrics, stopped), /stopped/);
  });

  it('looks at every workflow, page by page', async () => {
    const ids = [await finished(), await finished(), await finished(), await finished(), await finished()].map(
      ({ id }) => id,
    );
    const old = ids.filter((_, index) => index !== 1 && index !== 2);
    await age(2, ...ids);
    await age(-2, ids[1]!, ids[2]!);
    await database.pool.query(`update workflows set created_at = now() - interval '3 days' where id = any($1)`, [ids]);
    for (const limit of [1, 2, 3, 1000]) {
      const found: string[] = [];
      let page: OldEventsPage | undefined;
      do {
        page = await findOldEvents(database.pool, DAY_MS, limit, page?.last);
        assert.ok(page.workflowIds.length <= limit);
        found.push(...page.workflowIds);
      } while (page.last);
      assert.deepEqual(found.sort(), old.toSorted(), `pages of ${limit}, all submitted at the same moment`);
    }
    assert.equal(await tidy(1), old.length * 6);
  });

  it('may be looked after by several processes at once, each of which counts its own', async () => {
    const workflows = [];
    while (workflows.length < 8) workflows.push(await finished());
    await age(2, ...workflows.map(({ id }) => id));
    const other = await openDatabase(databaseUrl, () => {});
    try {
      const counts = await Promise.all([tidy(1), tidy(1, other), tidy(1), tidy(1, other)]);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        8 * 6,
      );
      for (const { id } of workflows) assert.deepEqual(await stored(id), [7]);
    } finally {
      await other.close();
    }
  });

  it('never waits for a workflow that somebody changes, and leaves it alone', async () => {
    const { id, all } = await finished();
    await age(2, id);
    await database.transaction(async (connection) => {
      await connection.query('select from workflows where id = $1 for update', [id]);
      assert.equal(await within('no wait', deleteOldEvents(database.pool, id, DAY_MS, 500)), 0);
      await connection.query('update workflows set updated_at = now() where id = $1', [id]);
    });
    assert.equal(await deleteOldEvents(database.pool, id, DAY_MS, 500), 0);
    assert.equal((await stored(id)).length, all.length);
  });

  it('holds while workflows end, are retried and read all the time', async () => {
    const other = await openDatabase(databaseUrl, () => {});
    let over = false;
    const hammer = async (db: Database) => {
      while (!over) await tidy(0, db);
    };
    const hammering = Promise.all([hammer(database), hammer(other)]);
    const tries = 6;
    runner.work = ({ attempt }) => (attempt < tries ? failure('OOM') : nothing);
    const watch = async (id: string, retry: boolean) => {
      const seen: WorkflowEvent[] = [];
      for (let cursor = 0n; stateIn(seen.at(-1)) !== JobState.SUCCEEDED; cursor = follow(seen).last) {
        const events = await collect(stream(id, cursor));
        seen.push(...events);
        if (retry && stateIn(events.at(-1)) === JobState.FAILED) {
          await orchestrator.client.retryWorkflow({ workflowId: id });
        }
      }
      return follow(seen);
    };
    try {
      const ids = await Promise.all([submit({ a: [] }), submit({ a: [] }), submit({ a: [] })]);
      await Promise.all(ids.flatMap((id) => [watch(id, true), watch(id, false)]));
      over = true;
      await hammering;
      await tidy(0);
      for (const id of ids) {
        const [only, ...others] = await stored(id);
        assert.deepEqual(others, []);
        const late = await watch(id, false);
        assert.deepEqual(late, { gaps: [[0n, BigInt(only!)]], last: BigInt(only!) });
      }
    } finally {
      over = true;
      await hammering;
      await other.close();
    }
  });

  it('is not what deletes the last event: that is a fault, not a silence', async () => {
    const { id, all } = await finished();
    await database.pool.query('delete from events where workflow_id = $1 and event_id > 3', [id]);
    const error = await refusal(collect(stream(id)));
    assert.equal(error.code, Code.Internal);
    assert.deepEqual(await collect(stream(id, BigInt(all.length))), []);
    await database.pool.query('delete from workflows where id = $1', [id]);
  });

  it('tells of what fails, and tries it again', async () => {
    const [first, second] = [await finished(), await finished()];
    await age(2, first.id);
    const lines: string[] = [];
    const log = createLog('test', 'info', { write: (line: string) => lines.push(JSON.parse(line).msg) });
    const cable = await startCable(databaseUrl);
    const away = await openDatabase(cable.url, () => {});
    const days = 10_000 / DAY_MS;
    const retention = startEventRetention({ database: away, days, metrics: uncounted, log });
    try {
      await eventually('the first pass', () => lines.includes('deleted old events'));
      assert.deepEqual(await stored(first.id), [7]);
      await cable.cut();
      await age(2, second.id);
      await eventually('a failure', () => lines.includes('deleting old events failed'));
      await cable.mend();
      await eventually('another try', async () => (await stored(second.id)).length === 1);
    } finally {
      await within('the end', retention.close());
      await away.close();
      await cable.close();
    }
  });

  it('is for ever by default, and otherwise kept by the orchestrator from its start on', async () => {
    const { id, all } = await finished();
    await age(5_000, id);
    const idle = startEventRetention({ database, days: 0, metrics: uncounted, log: silent });
    const restart = async (settings: Record<string, string>) => {
      await orchestrator.close();
      orchestrator = await startTestOrchestrator(databaseUrl, runner, settings);
    };
    const deleted = async () => {
      const response = await fetch(`http://127.0.0.1:${orchestrator.metricsPort}/metrics`);
      return Number(/^foldforge_events_deleted_total (\d+)$/m.exec(await response.text())?.[1]);
    };
    await restart({});
    await finished();
    assert.equal((await stored(id)).length, all.length);
    assert.equal(await deleted(), 0);
    await restart({ EVENT_RETENTION_DAYS: '5000.5' });
    await finished();
    assert.equal((await stored(id)).length, all.length);
    await restart({ EVENT_RETENTION_DAYS: '0.00001' });
    await eventually('the deletion of what is old', async () => (await stored(id)).length === 1);
    const later = await finished();
    await eventually('the deletion of what has become old', async () => (await stored(later.id)).length === 1);
    assert.ok((await deleted()) >= all.length - 1 + later.all.length - 1);
    await idle.close();
  });
});
