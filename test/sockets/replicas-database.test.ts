import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { WorkflowEvent } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { collect, eventually, stateIn } from '../orchestrator/harness.ts';
import {
  fanOut,
  faultsIn,
  findLate,
  type Replica,
  readEnded,
  readLatencies,
  useReplicas,
} from '../orchestrator/replicas.ts';
import { until, within } from '../support/waiting.ts';

/** Until every session is open again after the database has come back. */
const BACK_MS = 8_000;

describe('a database that is killed under two orchestrators', () => {
  const cluster = useReplicas();
  let url: string;
  let both: readonly [Replica, Replica];

  before(async () => {
    url = await cluster.postgres.createDatabase();
    const start = () => cluster.replicas.start(url, { CONCURRENCY: '4' });
    both = await Promise.all([start(), start()]);
  });

  /** Everything from a cursor to the end, opened again wherever it breaks off, as the gateway does. */
  function follow({ client }: Replica, workflowId: string) {
    const events: WorkflowEvent[] = [];
    let breaks = 0;
    const readOn = async () => {
      try {
        const from = events.at(-1)?.eventId;
        const cursor = from === undefined ? { replay: true } : { fromEventId: from };
        for await (const event of client.streamWorkflowEvents({ workflowId, ...cursor })) events.push(event);
        return true;
      } catch (error) {
        if (!(error instanceof ConnectError && error.code === Code.Unavailable)) throw error;
        breaks++;
        return false;
      }
    };
    const over = until(`the end of the stream of ${workflowId}`, readOn, 20_000);
    return { events, over, breaks: () => breaks };
  }

  it('costs no event, and brings the news as fast as before when it is back', async (t) => {
    t.diagnostic(`Postgres ${cluster.postgres.version}, ${cluster.postgres.kind}`);
    const { id } = await both[0].client.submitWorkflow({ spec: fanOut(8, { seconds: 3 }) });
    const streams = both.map((replica) => follow(replica, id));
    await until('all have begun', async () => (await both[0].inFlight()) + (await both[1].inFlight()) === 8);
    await cluster.postgres.kill();
    const calls = both.map(({ client }) =>
      client.getWorkflow({ workflowId: id }).then(
        () => 0,
        ({ code }) => code,
      ),
    );
    assert.deepEqual(await within('the answers', Promise.all(calls)), [Code.Unavailable, Code.Unavailable]);
    assert.deepEqual(await Promise.all(both.map((replica) => replica.isServing())), [false, false]);
    await cluster.postgres.start();
    const startedAt = performance.now();
    await eventually('both serve', async () => (await both[0].isServing()) && (await both[1].isServing()), BACK_MS);
    const admin = new pg.Client({ connectionString: url });
    await admin.connect();
    await eventually(
      'both listen',
      async () => {
        const { rowCount } = await admin.query(
          `select from pg_stat_activity
           where application_name = 'foldforge-orchestrator listener' and state = 'idle' and query like 'listen %'`,
        );
        return rowCount === 2;
      },
      BACK_MS,
    );
    await admin.end();
    t.diagnostic(`both listened again ${(performance.now() - startedAt).toFixed(0)} ms after it was back`);

    for (const { events, over, breaks } of streams) {
      await over;
      t.diagnostic(`the stream was opened again ${breaks()} times`);
      assert.deepEqual(faultsIn(events), []);
      assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
    }
    assert.deepEqual(streams[0]!.events, streams[1]!.events);
    const all = await collect(both[0].client.streamWorkflowEvents({ workflowId: id, replay: true }));
    assert.deepEqual(all, streams[0]!.events);

    // Not many at a time, whose own work would hold up the news.
    const next = await both[1].client.submitWorkflow({ spec: fanOut(20, { seconds: 0.2 }, 'proteinmpnn') });
    const latenciesMs = await readLatencies(both[0].client, next.id);
    t.diagnostic(
      `${latenciesMs.length} events, the slowest ${Math.max(...latenciesMs).toFixed(0)} ms after it was made`,
    );
    assert.deepEqual(findLate(latenciesMs), []);
    const [one, other] = await readEnded(both, 28);
    assert.equal(one! + other!, 28, 'each step has ended once');
  });
});
