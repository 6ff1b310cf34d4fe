import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { collect, eventually, stateIn } from '../orchestrator/harness.ts';
import {
  fanOut,
  faultsIn,
  findLate,
  mockSpec,
  type Replica,
  readEnded,
  readLatencies,
  untilOver,
  useReplicas,
} from '../orchestrator/replicas.ts';
import { until } from '../support/waiting.ts';

/** Until a run stops whose workflow was cancelled elsewhere: the engine asks once in a second. */
const STOP_MS = 3_000;

describe('two orchestrators on one database', () => {
  const cluster = useReplicas();

  it('name themselves, take any call, and share the work', async (t) => {
    t.diagnostic(`Postgres ${cluster.postgres.version}, ${cluster.postgres.kind}`);
    const url = await cluster.postgres.createDatabase();
    // Both at once, on an empty database: the schema is made once.
    const start = () => cluster.replicas.start(url, { CONCURRENCY: '4' });
    const [one, other] = await Promise.all([start(), start()]);
    assert.notEqual(one.executorId, other.executorId);

    const { id } = await one.client.submitWorkflow({ spec: fanOut(24, { seconds: 0.2 }) });
    const streams = [one, other].map(({ client }) =>
      collect(client.streamWorkflowEvents({ workflowId: id, replay: true })),
    );
    const [events, same] = await Promise.all(streams);
    assert.deepEqual(events, same);
    assert.deepEqual(faultsIn(events!), []);
    assert.equal(stateIn(events!.at(-1)), JobState.SUCCEEDED);
    const shares = await readEnded([one, other], 24);
    t.diagnostic(`steps of 24 that ended at each: ${shares.join(', ')}`);
    assert.equal(shares[0]! + shares[1]!, 24);
    assert.ok(Math.min(...shares) >= 4, `both did their part: ${shares.join(', ')}`);

    const failing = await other.client.submitWorkflow({ spec: mockSpec({ a: { seconds: 0, fail_attempts: 1 } }) });
    assert.equal((await untilOver(one.client, failing.id)).state, JobState.FAILED);
    await one.client.retryWorkflow({ workflowId: failing.id });
    assert.equal((await untilOver(other.client, failing.id)).state, JobState.SUCCEEDED);
    const lists = await Promise.all([one, other].map(({ client }) => client.listWorkflows({})));
    assert.deepEqual(
      lists[0]!.workflows.map((workflow) => workflow.id),
      [failing.id, id],
    );
    assert.deepEqual(lists[0], lists[1]);
  });

  describe('of which one does not get to do any work', () => {
    let watching: Replica;
    let working: Replica;

    before(async () => {
      const url = await cluster.postgres.createDatabase();
      watching = await cluster.replicas.start(url, { CONCURRENCY: '4' });
      await watching.client.submitWorkflow({ spec: fanOut(4, { seconds: 600 }) });
      await until('all of its places are taken', async () => (await watching.inFlight()) === 4);
      working = await cluster.replicas.start(url, { CONCURRENCY: '4' });
    });

    it('deliver the events of the other at once', async (t) => {
      const latenciesMs: number[] = [];
      for (let round = 0; round < 3; round++) {
        const { id } = await watching.client.submitWorkflow({ spec: fanOut(8, { seconds: 0.2 }, 'proteinmpnn') });
        latenciesMs.push(...(await readLatencies(watching.client, id)));
      }
      const longestMs = Math.max(...latenciesMs);
      t.diagnostic(`${latenciesMs.length} events, the slowest ${longestMs.toFixed(0)} ms after it was made`);
      assert.ok(latenciesMs.length >= 50, `there were only ${latenciesMs.length}`);
      assert.deepEqual(findLate(latenciesMs), []);
      assert.equal(await watching.ended(), 0, 'all of them were made by the other');
    });

    it('stop what the other runs', async (t) => {
      const { id } = await watching.client.submitWorkflow({ spec: mockSpec({ a: { seconds: 600 } }) });
      await until('the other runs it', async () => (await working.inFlight()) === 1);
      const cancelledAt = performance.now();
      const { state } = await watching.client.cancelWorkflow({ workflowId: id });
      assert.equal(state, JobState.CANCELLED);
      await eventually('the end of the work', async () => (await working.inFlight()) === 0);
      const stoppedMs = performance.now() - cancelledAt;
      t.diagnostic(`it stopped after ${stoppedMs.toFixed(0)} ms`);
      assert.ok(stoppedMs < STOP_MS, `it went on for ${stoppedMs} ms`);
      const events = await collect(working.client.streamWorkflowEvents({ workflowId: id, replay: true }));
      assert.deepEqual(faultsIn(events), []);
      assert.equal(stateIn(events.at(-1)), JobState.CANCELLED);
    });
  });
});
