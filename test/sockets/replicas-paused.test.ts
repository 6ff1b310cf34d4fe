import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { collect, eventually, stateIn } from '../orchestrator/harness.ts';
import { fanOut, faultsIn, type Replica, readEnded, useReplicas, whoRuns } from '../orchestrator/replicas.ts';
import { until } from '../support/waiting.ts';

const PICKED_UP_MS = 15_000;
const LONG = { seconds: 2.5 };
const STEPS = 6;

describe('an orchestrator that stands still while it runs steps', { concurrency: true }, () => {
  const cluster = useReplicas();

  /** Two replicas that run a workflow, one of which is stopped until the other has its steps. */
  async function pauseOne() {
    const url = await cluster.postgres.createDatabase();
    const both = await Promise.all([cluster.replicas.start(url), cluster.replicas.start(url)]);
    const { id } = await both[0].client.submitWorkflow({ spec: fanOut(STEPS, LONG) });
    await until('all of them run', async () => (await both[0].inFlight()) + (await both[1].inFlight()) === STEPS);
    const [paused, other] = (await whoRuns(both)) as [Replica, Replica];
    const held = await paused.inFlight();
    paused.kill('SIGSTOP');
    const pausedAt = performance.now();
    await eventually(
      'the other has its steps',
      async () => (await other.metric('foldforge_reaped_steps_total')) === held,
      PICKED_UP_MS,
    );
    return { id, paused, other, pausedMs: () => performance.now() - pausedAt };
  }

  async function assertSucceeds(reader: Replica, workflowId: string): Promise<void> {
    const events = await collect(reader.client.streamWorkflowEvents({ workflowId, replay: true }));
    assert.deepEqual(faultsIn(events), []);
    assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
  }

  /** It is one of two again, and no step has ended twice. */
  async function assertWorks(paused: Replica, other: Replica): Promise<void> {
    await eventually('it takes calls', () => paused.isServing());
    const before = await paused.ended();
    const steps = 40;
    const { id } = await paused.client.submitWorkflow({ spec: fanOut(steps, { seconds: 0.1 }, 'proteinmpnn') });
    await assertSucceeds(paused, id);
    const [own, others] = await readEnded([paused, other], STEPS + steps);
    assert.ok(own! > before, 'it did some of the new steps');
    assert.equal(own! + others!, STEPS + steps, 'each step has ended once');
  }

  it('records nothing when it comes back in the middle of what another does in its place', async (t) => {
    const { id, paused, other, pausedMs } = await pauseOne();
    t.diagnostic(`its steps were taken over after ${(pausedMs() / 1000).toFixed(1)} s`);
    paused.kill('SIGCONT');
    await assertSucceeds(other, id);
    await assertWorks(paused, other);
  });

  it('goes on with new steps when it comes back long after', async () => {
    const { id, paused, other, pausedMs } = await pauseOne();
    await assertSucceeds(other, id);
    await sleep(Math.max(0, PICKED_UP_MS + 1_000 - pausedMs()));
    paused.kill('SIGCONT');
    await assertWorks(paused, other);
    await assertSucceeds(paused, id);
  });
});
