import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createConcurrencyLimit } from '../../../src/gateway/admission/concurrency-limit.ts';
import { simulate } from './simulated-upstream.ts';

const MINUTE = 600;

describe('the adaptive limit', () => {
  it('is not pressed down by one principal that asks at times for what costs much', () => {
    const limit = createConcurrencyLimit(20, 1_000);
    let window = 0;
    // Nothing is in anybody's way: 300 reads at once take as long as 25.
    const run = (windows: number, demand: number): number => {
      let refused = 0;
      for (let each = 0; each < windows; each++, window++) {
        const inFlight = Math.min(demand, Math.floor(limit.current()));
        refused += demand - inFlight;
        for (let read = 0; read < inFlight * 5; read++) limit.observe('read', 20, `honest ${read % 3}`);
        const isTurn = Math.floor(window / 50) % 2 === 0;
        limit.observe('rank', isTurn ? 400 : 5, 'attacker');
        limit.observe('list', isTurn ? 5 : 400, 'attacker');
        limit.adapt({ peakInFlight: inFlight, lagMs: 0, oldest: undefined });
      }
      return refused / (windows * demand);
    };
    run(2 * MINUTE, 25);
    const refusedShare = run(2 * MINUTE, 300);
    assert.ok(refusedShare < 0.01, `refused ${refusedShare}, limit ${limit.current()}`);
  });

  it('is tight also where so little is done that a tenth of a second tells nothing', () => {
    for (const [slots, serviceMs] of [
      [1, 100],
      [2, 100],
      [16, 1_000],
    ] as const) {
      const capacity = (slots * 1_000) / serviceMs;
      const { limits } = simulate({
        rate: (atMs) => capacity * (atMs < 20_000 ? 0.3 : 4),
        durationMs: 120_000,
        slots: () => slots,
        serviceMs: (_atMs, random) => serviceMs * (0.8 + 0.4 * random()),
      });
      const most = Math.max(...limits.slice(MINUTE));
      assert.ok(most < 100, `${capacity} a second: up to ${most} are let in`);
    }
  });
});
