import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
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
function startCache({ ttlMs = 60_000, maxEntries = 10, maxLookups = 64, before = async () => {} } = {}) {
  const lookups: string[] = [];
  const answers = new Map<string, Answer | GatewayError>();
  const metrics = createMetrics();
  const apiKeys = createApiKeys({
    orchestrator: {
      async authenticateApiKey({ keyHash = '' }: Partial<AuthenticateApiKeyRequest>, _call: Call) {
        lookups.push(keyHash);
        await before();
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
    maxLookups,
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

  it('lets a flood of junk keys wait in small numbers, and not starve the keys that it knows', async () => {
    const open: (() => void)[] = [];
    let flooded = false;
    let most = 0;
    const before = async () => {
      if (!flooded) return;
      most = Math.max(most, ++lookupsOpen);
      await new Promise<void>((resolve) => open.push(resolve));
      lookupsOpen--;
    };
    let lookupsOpen = 0;
    const { apiKeys, answers, lookups, count } = startCache({ maxLookups: 8, before });
    answers.set('cached', { allowed: true, principal: 'cached' });
    // Their time is up, so nothing is remembered but that they were good.
    for (const key of ['recent', 'gone']) answers.set(key, { allowed: true, principal: key, expiresAtMs: 1 });
    const known = async (key: string) => apiKeys.resolveKnown(key, {});
    const present = async (key: string) => apiKeys.resolve('junk', key, {});
    assert.equal(await known('recent'), undefined, 'nothing is known of it yet');
    for (const key of answers.keys()) assert.equal((await present(key)).principal, key);
    answers.delete('gone');
    lookups.length = 0;
    flooded = true;

    const junk = Array.from({ length: 5000 }, (_, index) => present(`junk${index}`).catch((error) => error.code));
    assert.equal((await known('cached'))?.principal, 'cached');
    assert.deepEqual([lookups.length, most], [8, 8], 'a cached key is not asked for');
    // Whatever happens to the flood: a key that was good has a lookup of its own.
    const refreshed = [known('recent'), known('recent'), known('gone').catch((error) => error.code)];
    assert.equal(most, 10);
    flooded = false;
    for (const answer of open) answer();
    const [recent, same, gone] = await Promise.all(refreshed);
    assert.deepEqual([recent?.principal, same, gone], ['recent', recent, 'UNAUTHENTICATED']);
    const codes = await Promise.all(junk);
    // Eight were under way, and eight times as many could wait.
    assert.equal(codes.filter((code) => code === 'UNAUTHENTICATED').length, 72);
    assert.equal(codes.filter((code) => code === 'OVERLOADED').length, 4928);
    assert.equal(await count('refused'), 4928);
    assert.equal(apiKeys.resolveKnown('gone', {}), undefined, 'a key that was refused is a stranger again');
    // The room is there again.
    assert.equal(await present('after').catch((error) => error.code), 'UNAUTHENTICATED');
  });

  it('never has more lookups of strangers under way than it may, whatever comes in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(fc.nat({ max: 40 }), { maxLength: 120 }), async (scheduler, keys) => {
        let open = 0;
        let most = 0;
        const before = async () => {
          most = Math.max(most, ++open);
          await scheduler.schedule(Promise.resolve());
          open--;
        };
        const { apiKeys, answers, count, lookups } = startCache({ maxLookups: 3, before });
        for (let key = 0; key < 5; key++) answers.set(`key${key}`, { allowed: true, principal: 'alice' });
        const outcomes: Promise<string>[] = [];
        const arrivals = keys.map((key) => ({
          label: `key${key}`,
          builder: async () => {
            const present = async () =>
              (await apiKeys.resolveKnown(`key${key}`, {})) ?? apiKeys.resolve('', `key${key}`, {});
            outcomes.push(
              present().then(
                () => (key < 5 ? 'good' : 'wrong'),
                ({ code }) => code,
              ),
            );
          },
        }));
        scheduler.scheduleSequence(arrivals);
        await scheduler.waitAll();
        const results = await scheduler.waitFor(Promise.all(outcomes));
        assert.ok(most <= 3, `${most}`);
        assert.ok(
          results.every((result) => ['good', 'UNAUTHENTICATED', 'OVERLOADED'].includes(result)),
          results.join(),
        );
        assert.equal(await count('refused'), results.filter((result) => result === 'OVERLOADED').length);
        assert.equal(await count('miss'), lookups.length);
      }),
      { numRuns: 50 },
    );
  });
});
