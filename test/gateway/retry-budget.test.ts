import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRetryBudget } from '../../src/gateway/upstream/retry-budget.ts';

describe('the budget of retries', () => {
  it('never allows more than its reserve and its share of the calls, and refuses none that it could pay', () => {
    const settings = fc.record({
      ratio: fc.constantFrom(0.1, 0.2, 0.5, 1),
      reserve: fc.integer({ min: 0, max: 20 }),
      most: fc.integer({ min: 20, max: 60 }),
    });
    const steps = fc.array(fc.record({ calls: fc.integer({ min: 0, max: 800 }), retries: fc.nat(100) }));
    fc.assert(
      fc.property(settings, steps, ({ ratio, reserve, most }, sequence) => {
        let refused = 0;
        const budget = createRetryBudget({ ratio, reserve, most, onRefused: () => refused++ });
        let calls = 0;
        let retries = 0;
        let asked = 0;
        // In tenths, so that nothing is rounded.
        let saved = reserve * 10;
        for (const step of sequence) {
          for (let index = 0; index < step.calls; index++) budget.deposit();
          calls += step.calls;
          saved = Math.min(most * 10, saved + step.calls * Math.round(ratio * 10));
          for (let index = 0; index < step.retries; index++, asked++) {
            const isAffordable = saved >= 10;
            assert.equal(budget.take(), isAffordable);
            if (!isAffordable) continue;
            retries++;
            saved -= 10;
          }
          assert.ok(retries <= reserve + ratio * calls + 1e-9, `${retries} retries of ${calls} calls`);
        }
        assert.equal(refused, asked - retries);
      }),
    );
  });

  it('is by default a tenth of the calls, and ten', () => {
    const budget = createRetryBudget();
    const spend = () => {
      let spent = 0;
      while (budget.take()) spent++;
      return spent;
    };
    assert.equal(spend(), 10);
    for (let call = 0; call < 9; call++) budget.deposit();
    assert.equal(spend(), 0);
    budget.deposit();
    assert.equal(spend(), 1);
    for (let call = 0; call < 1_000_000; call++) budget.deposit();
    assert.equal(spend(), 100, 'what can be saved up');
  });
});
