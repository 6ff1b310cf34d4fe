import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startPartitionProxy } from '../chaos/orchestrator/partition-proxy.ts';
import { collect, eventually, refusal, stateIn } from '../orchestrator/harness.ts';
import { fanOut, faultsIn, type Replica, readEnded, useReplicas } from '../orchestrator/replicas.ts';
import { until } from '../support/waiting.ts';

const PICKED_UP_MS = 15_000;
/** Until it says so that it is cut off. */
const NOTICED_MS = 20_000;
const BUSY_MS = 10_000;
const HEALED_MS = 10_000;
const PLACES = 3;
/** More than one of them has places for, and long enough for the other to take the rest. */
const WORK = fanOut(2 * PLACES, { seconds: 6 });

describe('an orchestrator that is parted from the database', { concurrency: true }, () => {
  const cluster = useReplicas();

  async function isUnavailable({ client }: Replica, workflowId: string): Promise<boolean> {
    try {
      await client.getWorkflow({ workflowId }, { timeoutMs: 5_000 });
      return false;
    } catch (error) {
      return error instanceof ConnectError && error.code === Code.Unavailable;
    }
  }

  for (const how of ['silent', 'cut'] as const) {
    it(`says so, leaves its steps to another, and is back when it heals (${how})`, async (t) => {
      const url = await cluster.postgres.createDatabase();
      const proxy = await startPartitionProxy(Number(new URL(url).port));
      try {
        const parted = new URL(url);
        parted.port = String(proxy.port);
        const settings = { CONCURRENCY: String(PLACES) };
        const [far, near] = await Promise.all([
          cluster.replicas.start(parted.href, settings),
          cluster.replicas.start(url, settings),
        ]);
        const { id } = await near.client.submitWorkflow({ spec: WORK });
        const stream = refusal(collect(far.client.streamWorkflowEvents({ workflowId: id, replay: true }), 'its end'));
        const areBusy = async () => (await far.inFlight()) === PLACES && (await near.inFlight()) === PLACES;
        await until('both have their hands full', areBusy, BUSY_MS);

        await proxy.part(how);
        const partedAt = performance.now();
        const tell = (what: string) => {
          t.diagnostic(`${what} after ${((performance.now() - partedAt) / 1000).toFixed(1)} s`);
        };
        await Promise.all([
          eventually('it is not serving', async () => !(await far.isServing()), NOTICED_MS).then(() => tell('unfit')),
          eventually('it refuses calls', () => isUnavailable(far, id), NOTICED_MS).then(() => tell('refused calls')),
          stream.then(({ code }) => {
            assert.equal(code, Code.Unavailable);
            tell('ended its streams');
          }),
          eventually(
            'the other has its steps',
            async () => (await near.metric('foldforge_reaped_steps_total')) === PLACES,
            PICKED_UP_MS,
          ).then(() => tell('others had its steps')),
        ]);
        assert.equal(await near.isServing(), true);

        await proxy.heal();
        const events = await collect(near.client.streamWorkflowEvents({ workflowId: id, replay: true }));
        assert.deepEqual(faultsIn(events), []);
        assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
        await eventually('it serves again', () => far.isServing(), HEALED_MS);
        const before = await far.ended();
        const next = await far.client.submitWorkflow({ spec: WORK });
        await until('both have their hands full again', areBusy, BUSY_MS);
        const later = await collect(far.client.streamWorkflowEvents({ workflowId: next.id, replay: true }));
        assert.deepEqual(faultsIn(later), []);
        const [own, others] = await readEnded([far, near], 4 * PLACES);
        assert.ok(own! > before, 'it did some of the new steps');
        assert.equal(own! + others!, 4 * PLACES, 'each step has ended once');
      } finally {
        await proxy.close();
      }
    });
  }
});
