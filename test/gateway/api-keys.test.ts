import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { createApiKeys } from '../../src/gateway/access/api-keys.ts';
import type { Call } from '../../src/gateway/context.ts';
import { GatewayError } from '../../src/gateway/errors.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import {
  type AuthenticateApiKeyRequest,
  AuthenticateApiKeyResponseSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { until } from '../support/waiting.ts';

type Answer = { allowed: boolean; principal?: string; denyReason?: string; expiresAtMs?: number };

/** The cache over an orchestrator that answers what the test says. */
function startCache({ ttlMs = 60_000, maxEntries = 10 } = {}) {
  const lookups: string[] = [];
  const answers = new Map<string, Answer | GatewayError>();
  const metrics = createMetrics();
  const apiKeys = createApiKeys({
    orchestrator: {
      async authenticateApiKey({ keyHash = '' }: Partial<AuthenticateApiKeyRequest>, _call: Call) {
        lookups.push(keyHash);
        const answer = answers.get(keyHash) ?? { allowed: false, denyReason: 'unknown' };
        if (answer instanceof GatewayError) throw answer;
        const { expiresAtMs, ...rest } = answer;
        return create(AuthenticateApiKeyResponseSchema, {
          ...rest,
          ...(expiresAtMs !== undefined && { expiresAt: timestampFromMs(expiresAtMs) }),
        });
      },
    },
    metrics,
    ttlMs,
    maxEntries,
    lookupTimeoutMs: 1000,
  });
  const count = async (result: string) => {
    const { values } = await metrics.keyLookups.get();
    return values.find(({ labels }) => labels.result === result)?.value ?? 0;
  };
  const resolveHash = async (keyHash: string) => apiKeys.resolveHash(keyHash);
  return { apiKeys, resolveHash, answers, lookups, count };
}

const refusedWith = (code: string) => (error: GatewayError) => error.code === code;

describe('the cache of API keys', () => {
  it('keeps a good answer for the TTL, but never longer than the key is good', async () => {
    const { resolveHash, answers, lookups } = startCache();
    answers.set('short', { allowed: true, principal: 'alice', expiresAtMs: Date.now() + 150 });
    answers.set('long', { allowed: true, principal: 'alice', expiresAtMs: Date.now() + 1e9 });
    for (const key of ['short', 'long', 'short', 'long']) await resolveHash(key);
    assert.deepEqual(lookups, ['short', 'long']);
    answers.set('short', { allowed: false, denyReason: 'expired' });
    await until('the key has expired here, too', () =>
      resolveHash('short').then(() => false, refusedWith('KEY_EXPIRED')),
    );
    await resolveHash('long');
    assert.deepEqual(lookups, ['short', 'long', 'short']);
  });

  it('does not remember a key whose time is up already, whatever its orchestrator says', async () => {
    const { resolveHash, answers, lookups } = startCache();
    answers.set('past', { allowed: true, principal: 'alice', expiresAtMs: Date.now() - 1 });
    for (let index = 0; index < 3; index++) assert.equal((await resolveHash('past')).principal, 'alice');
    assert.equal(lookups.length, 3);
  });

  it('forgets nothing of a good key when its quota is learned, and does not remember it longer', async () => {
    const { apiKeys, resolveHash, answers, lookups } = startCache({ ttlMs: 300 });
    answers.set('key', { allowed: true, principal: 'alice' });
    await resolveHash('key');
    const startedAt = performance.now();
    await until('it is looked up again after the TTL', async () => {
      apiKeys.learnQuota('key', { limit: 5n, used: 1n });
      const { principal, quota } = await resolveHash('key');
      assert.equal(principal, 'alice');
      if (lookups.length === 1) assert.deepEqual(quota, { limit: 5n, used: 1n });
      return lookups.length > 1;
    });
    assert.ok(performance.now() - startedAt < 2000, 'learning does not start the TTL anew');
    apiKeys.learnQuota('nobody', { limit: 5n, used: 1n });
    await assert.rejects(resolveHash('nobody'), refusedWith('UNAUTHENTICATED'));
  });

  it('never lets junk push out a good key', async () => {
    const { resolveHash, answers, lookups, count } = startCache();
    for (let index = 0; index < 10; index++) answers.set(`good${index}`, { allowed: true, principal: 'alice' });
    for (const key of answers.keys()) await resolveHash(key);
    lookups.length = 0;
    for (let index = 0; index < 5000; index++) {
      await assert.rejects(resolveHash(`junk${index}`), refusedWith('UNAUTHENTICATED'));
    }
    assert.equal(lookups.length, 5000);
    for (const key of answers.keys()) await resolveHash(key);
    assert.equal(lookups.length, 5000);
    assert.equal(await count('hit'), 10);
  });

  it('counts how each key was resolved', async () => {
    const { apiKeys, resolveHash, answers, count } = startCache();
    answers.set('good', { allowed: true, principal: 'alice' });
    answers.set('down', new GatewayError('UNAVAILABLE', 'down'));
    await Promise.all([resolveHash('good'), resolveHash('good')]);
    await resolveHash('good');
    for (let index = 0; index < 2; index++) await assert.rejects(resolveHash('bad'));
    await assert.rejects(async () => apiKeys.resolve(`ffk_${'a'.repeat(43)}_000000`, 'whatever', {}));
    for (let index = 0; index < 2; index++) await assert.rejects(resolveHash('down'), refusedWith('UNAVAILABLE'));
    const results = ['miss', 'shared', 'hit', 'negative', 'checksum', 'error'];
    assert.deepEqual(await Promise.all(results.map(count)), [4, 1, 1, 1, 1, 2]);
  });
});
