import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRefusedCredentials } from '../../src/gateway/access/refused-credentials.ts';
import { GatewayError } from '../../src/gateway/errors.ts';

/** Seconds to wait, 0 when the address is admitted. */
function waitOf(refused: ReturnType<typeof createRefusedCredentials>, address: string): number {
  try {
    refused.admit(address);
    return 0;
  } catch (error) {
    assert.ok(error instanceof GatewayError && error.code === 'RATE_LIMITED');
    return error.retryAfterSeconds;
  }
}

describe('the budget of refused credentials', () => {
  it("is empty after a minute's worth, and says honestly when there is more", () => {
    let nowMs = 1_000_000;
    const refused = createRefusedCredentials(30, () => nowMs);
    for (let index = 0; index < 30; index++) {
      assert.equal(waitOf(refused, '192.0.2.1'), 0);
      refused.count('192.0.2.1');
    }
    assert.equal(waitOf(refused, '192.0.2.1'), 2);
    nowMs += 1_500;
    assert.equal(waitOf(refused, '192.0.2.1'), 0.5);
    nowMs += 500;
    assert.equal(waitOf(refused, '192.0.2.1'), 0);
    refused.count('192.0.2.1');
    assert.equal(waitOf(refused, '192.0.2.1'), 2);
    nowMs += 3_600_000;
    for (let index = 0; index < 30; index++) {
      assert.equal(waitOf(refused, '192.0.2.1'), 0, "it holds no more than a minute's worth");
      refused.count('192.0.2.1');
    }
    assert.notEqual(waitOf(refused, '192.0.2.1'), 0);
  });

  it('is one for each IPv4 address, and for each /64 of IPv6', () => {
    const refused = createRefusedCredentials(1, () => 0);
    for (const address of ['192.0.2.1', '2001:db8:0:1::1', 'unknown']) refused.count(address);
    const waits = ['192.0.2.1', '2001:db8::1:ffff:0:0:2', '2001:db8:0:1::2', '192.0.2.2', '2001:db8:0:2::1', '::1'].map(
      (address) => waitOf(refused, address) > 0,
    );
    assert.deepEqual(waits, [true, true, true, false, false, false]);
  });

  it('has no end where any number may be refused', () => {
    const refused = createRefusedCredentials(0);
    for (let index = 0; index < 10_000; index++) refused.count('192.0.2.1');
    assert.equal(waitOf(refused, '192.0.2.1'), 0);
  });

  it("admits no more than a minute's worth, and what comes back, whoever comes when", () => {
    const step = fc.record({ afterMs: fc.nat({ max: 20_000 }), tries: fc.nat({ max: 40 }) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.array(step, { maxLength: 30 }), (perMinute, steps) => {
        let nowMs = 0;
        const refused = createRefusedCredentials(perMinute, () => nowMs);
        let admitted = 0;
        for (const { afterMs, tries } of steps) {
          nowMs += afterMs;
          for (let index = 0; index < tries; index++) {
            const wait = waitOf(refused, '192.0.2.1');
            if (wait > 0) {
              assert.ok(wait <= 60 / perMinute + 1e-6, `${wait} s`);
              continue;
            }
            admitted++;
            refused.count('192.0.2.1');
          }
          assert.ok(admitted <= perMinute * (1 + nowMs / 60_000) + 1e-6);
        }
      }),
    );
  });

  it('keeps little of however many networks', () => {
    const refused = createRefusedCredentials(1, () => 0);
    for (let index = 0; index < 30_000; index++)
      refused.count(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
    assert.ok(waitOf(refused, '10.0.117.47') > 0, 'the last one');
    assert.equal(waitOf(refused, '10.0.0.0'), 0, 'the first one was pushed out');
  });
});
