import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createPrincipals } from '../../../src/gateway/admission/principals.ts';
import { GatewayError } from '../../../src/gateway/errors.ts';

const codeOf = (answer: object) => (answer instanceof GatewayError ? answer.code : 'in');

describe('what one principal may do', () => {
  it('is so many requests a second, and twice as many at once', () => {
    const steps = fc.array(
      fc.record({ waitMs: fc.integer({ min: 0, max: 400 }), asks: fc.integer({ min: 1, max: 50 }) }),
    );
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 100 }), (list, perSecond) => {
        let nowMs = 1_000;
        const principals = createPrincipals({ maxInFlight: 1_000_000, perSecond, now: () => nowMs });
        let admitted = 0;
        for (const { waitMs, asks } of list) {
          nowMs += waitMs;
          for (let ask = 0; ask < asks; ask++) {
            const code = codeOf(principals.enter('alice'));
            if (code === 'in') admitted++;
            else assert.equal(code, 'RATE_LIMITED');
          }
          const most = 2 * perSecond + ((nowMs - 1_000) / 1000) * perSecond;
          assert.ok(admitted <= most + 1e-6, `${admitted} of at most ${most}`);
          assert.equal(codeOf(principals.enter(`somebody else at ${nowMs} ${admitted}`)), 'in');
        }
      }),
    );
  });

  it('tells whoever comes too fast when to come again, and lets it in then', () => {
    let nowMs = 0;
    const principals = createPrincipals({ maxInFlight: 100, perSecond: 5, now: () => nowMs });
    for (let ask = 0; ask < 10; ask++) assert.equal(codeOf(principals.enter('alice')), 'in');
    const refusal = principals.enter('alice') as GatewayError;
    assert.equal(refusal.code, 'RATE_LIMITED');
    assert.deepEqual(refusal.headers, { 'RateLimit-Policy': '"requests";q=5;w=1', RateLimit: '"requests";r=0;t=1' });
    nowMs += refusal.retryAfterSeconds * 1000;
    assert.equal(codeOf(principals.enter('alice')), 'in');
  });

  it('is any rate at 0, and a number of requests at once', () => {
    const principals = createPrincipals({ maxInFlight: 3, perSecond: 0, now: () => 0 });
    for (let ask = 0; ask < 1_000; ask++) assert.equal(codeOf(principals.enter('alice')), 'in');
    const alice = principals.enter('alice');
    assert.ok(!(alice instanceof GatewayError));
    alice.open = 3;
    assert.equal(codeOf(principals.enter('alice')), 'TOO_MANY_REQUESTS');
    assert.equal(codeOf(principals.enter('bob')), 'in');
    alice.open = 2;
    assert.equal(codeOf(principals.enter('alice')), 'in');
  });

  it('shrinks to an equal share when others come, and grows again a while after they have left', () => {
    let nowMs = 0;
    const principals = createPrincipals({ maxInFlight: 100, perSecond: 0, now: () => nowMs });
    principals.enter('alice');
    assert.equal(principals.share(100), 80);
    for (const name of ['bob', 'carol', 'dave']) principals.enter(name);
    assert.equal(principals.share(100), 25);
    nowMs = 1_500;
    principals.enter('alice');
    assert.equal(principals.share(100), 25);
    nowMs = 2_600;
    principals.enter('alice');
    assert.equal(principals.share(100), 80);
    for (let index = 0; index < 1_000; index++) principals.enter(`user ${index}`);
    assert.equal(principals.share(100), 4);
  });
});
