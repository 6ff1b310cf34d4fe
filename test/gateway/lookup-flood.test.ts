import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/waiting.ts';

const MAY_BE_REFUSED = 10;
const KEYS = 40;

describe('unknown keys of one network', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      AUTH_FAILURES_PER_MINUTE: String(MAY_BE_REFUSED),
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });

  it('are no more than one while any number of requests wait for a good one', async () => {
    fake.keys.set(createHash('sha256').update('good').digest('hex'), { principal: 'alice', limit: 0n, used: 0n });
    const answer = Promise.withResolvers<void>();
    fake.onCall('authenticateApiKey', () => answer.promise);
    const ask = async () =>
      (await gateway.request('/v1/workflows', { headers: { Authorization: 'Bearer good' } })).status;
    const asked = Array.from({ length: KEYS }, ask);
    await until('it is looked up', () => fake.countCalls('authenticateApiKey') === 1);
    asked.push(ask());
    answer.resolve();
    assert.deepEqual(new Set(await Promise.all(asked)), new Set([200]));
  });

  it('that come all at once are looked up no more often than they may be refused', async () => {
    const answer = Promise.withResolvers<void>();
    fake.onCall('authenticateApiKey', () => answer.promise);
    const before = fake.countCalls('authenticateApiKey');
    const counts: Record<number, number> = {};
    const asked = Array.from({ length: KEYS }, async (_, index) => {
      const { status } = await gateway.request('/v1/workflows', { headers: { Authorization: `Bearer junk-${index}` } });
      counts[status] = (counts[status] ?? 0) + 1;
    });
    try {
      await until('the others are refused', () => counts[429] === KEYS - MAY_BE_REFUSED);
      assert.equal(fake.countCalls('authenticateApiKey') - before, MAY_BE_REFUSED);
    } finally {
      answer.resolve();
      await Promise.all(asked);
    }
    assert.equal(counts[401], MAY_BE_REFUSED);
  });
});
