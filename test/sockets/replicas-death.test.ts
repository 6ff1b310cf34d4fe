import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { collect, eventually, stateIn } from '../orchestrator/harness.ts';
import { faultsIn, mockSpec, type Replica, useReplicas, whoRuns } from '../orchestrator/replicas.ts';

/** The promise: how long after its death the steps of a replica run again. */
const PICKED_UP_MS = 15_000;
/** The same when it says that it goes. */
const HANDED_OVER_MS = 3_000;
const LONG = { seconds: 2.5 };

describe('two orchestrators, of which one', { concurrency: true }, () => {
  const cluster = useReplicas();

  async function startTwo(): Promise<readonly [Replica, Replica]> {
    const url = await cluster.postgres.createDatabase();
    return await Promise.all([cluster.replicas.start(url), cluster.replicas.start(url)]);
  }

  /** The milliseconds from now until a replica runs something. */
  async function timeUntilRuns(replica: Replica): Promise<number> {
    const since = performance.now();
    await eventually('the steps run again', async () => (await replica.inFlight()) > 0, PICKED_UP_MS);
    return performance.now() - since;
  }

  /** Its whole history, as `reader` tells it at its end. */
  async function assertSucceeds(reader: Replica, workflowId: string): Promise<void> {
    const events = await collect(reader.client.streamWorkflowEvents({ workflowId, replay: true }));
    assert.deepEqual(faultsIn(events), []);
    assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
  }

  it('is killed while it runs a step: the other does it', async (t) => {
    const both = await startTwo();
    const { id } = await both[0].client.submitWorkflow({ spec: mockSpec({ a: LONG }) });
    const [runner, other] = await whoRuns(both);
    runner.kill('SIGKILL');
    const afterMs = await timeUntilRuns(other!);
    t.diagnostic(`its step ran again after ${(afterMs / 1000).toFixed(1)} s`);
    await assertSucceeds(other!, id);
    assert.equal(await other!.metric('foldforge_reaped_steps_total'), 1);
  });

  it('is told to stop while it runs a step: the other has it at once', async (t) => {
    const both = await startTwo();
    const { id } = await both[0].client.submitWorkflow({ spec: mockSpec({ a: LONG }) });
    const [runner, other] = await whoRuns(both);
    runner.kill('SIGTERM');
    const afterMs = await timeUntilRuns(other!);
    t.diagnostic(`its step ran again after ${afterMs.toFixed(0)} ms`);
    assert.ok(afterMs < HANDED_OVER_MS, `it took ${afterMs} ms`);
    assert.deepEqual([await runner.exits(), runner.stderr()], [0, '']);
    await assertSucceeds(other!, id);
    assert.equal(await other!.metric('foldforge_reaped_steps_total'), 0, 'nobody was taken for dead');
  });
});
