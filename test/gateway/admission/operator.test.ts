import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { until } from '../../support/waiting.ts';

const LIMIT = 10;

describe('the static token', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      IN_FLIGHT_MIN: String(LIMIT),
      IN_FLIGHT_MAX: String(LIMIT),
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });

  it('has the little room that every principal has while many of them fill the gateway', async () => {
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const answer = Promise.withResolvers<void>();
    fake.onCall('listWorkflows', () => answer.promise);
    const held = Array.from({ length: LIMIT + 2 }, (_, index) => {
      const key = `the-key-of-user-${index}`;
      const hash = createHash('sha256').update(key).digest('hex');
      fake.keys.set(hash, { principal: `user-${index}`, limit: 0n, used: 0n });
      return gateway.request('/v1/workflows', { headers: { Authorization: `Bearer ${key}` } });
    });
    try {
      await until('all are worked on', () => fake.countCalls('listWorkflows') === held.length);
      assert.equal((await gateway.request(`/v1/workflows/${id}`)).status, 200);
    } finally {
      answer.resolve();
      for (const response of await Promise.all(held)) await response.text();
    }
  });
});
