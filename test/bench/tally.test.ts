import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createTally, quantile } from '../../bench/support/tally.ts';

test('a tally counts answers by status, and its rate is by the clock', () => {
  let nowMs = 1_000;
  const tally = createTally(() => nowMs);
  for (const status of [200, 200, 503]) tally.add(status, 1);
  nowMs += 500;
  const { requests, statuses, perSecond } = tally.read();
  assert.deepEqual({ requests, statuses, perSecond }, { requests: 3, statuses: { 200: 2, 503: 1 }, perSecond: 6 });
});

test('p50 and p99 are the values that half and 99 % of all are not above, for more than there is room for at first', () => {
  const tally = createTally();
  const count = 10_000;
  // In no order: 7,919 is prime to the count, so each of 1 to 10,000 comes once.
  for (let index = 0; index < count; index++) tally.add(200, ((index * 7_919) % count) + 1);
  const { p50Ms, p99Ms } = tally.read();
  assert.deepEqual({ p50Ms, p99Ms }, { p50Ms: 5_000, p99Ms: 9_900 });
});

test('a quantile is the least value with at least that share at or below it', () => {
  const values = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(values, fc.constantFrom(0.01, 0.5, 0.9, 0.99, 1), (list, share) => {
      const found = quantile(Float64Array.from(list).sort(), share);
      const partUpTo = (limit: number) => list.filter((value) => value <= limit).length / list.length;
      assert.ok(partUpTo(found) >= share - 1e-9);
      const lower = Math.max(...list.filter((value) => value < found));
      if (lower >= 0) assert.ok(partUpTo(lower) < share + 1e-9);
    }),
  );
});

test('nothing has the quantile 0', () => {
  assert.equal(quantile([], 0.99), 0);
});
