import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway } from '../support/gateway.ts';
import { collectSse, idsOf, readSse, type SseEvent } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

describe('event streams of many workflows', () => {
  for (const [maxStreams, count] of [
    [100, 250],
    [3, 20],
  ] as const) {
    it(`all flow, and starve no call, when the orchestrator takes ${maxStreams} on a connection`, async () => {
      const fake = await startFakeOrchestrator({ maxStreams });
      const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
      const ids = Array.from({ length: count }, () => fake.put({ state: JobState.RUNNING }).id);
      // All at once, so that most of them ask before the limit of the first connection is known.
      const seen: SseEvent[][] = ids.map(() => []);
      const streams = ids.map(async (id, index) => {
        const response = await gateway.request(`/v1/workflows/${id}/events`);
        assert.equal(response.status, 200);
        for await (const event of readSse(response)) seen[index]!.push(event);
      });
      await until('all are open', () => fake.openStreams() === count, 20_000);
      assert.equal((await within('a call', gateway.request('/v1/workflows'))).status, 200);
      const resumed = await gateway.request(`/v1/workflows/${ids[0]}/events?last_event_id=0`);
      assert.equal(resumed.status, 200);
      for (const id of ids) fake.stepUpdate(id, { stepId: 'a' });
      await until('all have seen it', () => seen.every((events) => idsOf(events).length === 1), 20_000);
      fake.dropConnections();
      for (const id of ids) fake.workflowUpdate(id, JobState.SUCCEEDED);
      await within('all end', Promise.all(streams), 20_000);
      for (const events of seen) {
        assert.deepEqual(idsOf(events), ['1', '2']);
        assert.equal(events.at(-1)?.event, 'end');
      }
      await collectSse(resumed);
      await gateway.close();
      await fake.close();
    });
  }
});
