import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createConcurrencyLimit } from '../../../src/gateway/admission/concurrency-limit.ts';
import { simulate } from './simulated-upstream.ts';

const SLOTS = 32;
const SERVICE_MS = 20;
const CAPACITY = (SLOTS * 1000) / SERVICE_MS;
const slots = () => SLOTS;
const about =
  (ms: number) =>
  (_atMs: number, random: () => number): number =>
    ms * (0.8 + 0.4 * random());

/** What it is like at a rate that the upstream bears easily. */
const unloaded = simulate({
  rate: () => CAPACITY * 0.3,
  durationMs: 10_000,
  slots,
  serviceMs: about(SERVICE_MS),
});

describe('the adaptive limit', () => {
  it('refuses nothing while the upstream bears it, also close to what it can bear', () => {
    assert.equal(unloaded.refusedShare, 0);
    const busy = simulate({ rate: () => CAPACITY * 0.9, durationMs: 20_000, slots, serviceMs: about(SERVICE_MS) });
    assert.ok(busy.refusedShare < 0.001, `refused ${busy.refusedShare}`);
  });

  it('keeps goodput and p99 at four times what the upstream bears, for as long as it lasts', () => {
    for (const seed of [1, 2, 3]) {
      const overload = simulate({
        rate: (atMs) => CAPACITY * (atMs < 5_000 ? 0.3 : 4),
        durationMs: 100_000,
        slots,
        serviceMs: about(SERVICE_MS),
        fromMs: 7_000,
        seed,
      });
      assert.ok(overload.goodput >= 0.9 * CAPACITY, `goodput ${overload.goodput} of ${CAPACITY}`);
      assert.ok(overload.p99Ms <= 3 * unloaded.p99Ms, `p99 ${overload.p99Ms}, unloaded ${unloaded.p99Ms}`);
    }
  });

  it('does so from a cold start, too, with no time to learn', () => {
    const load = { rate: () => CAPACITY * 4, durationMs: 90_000, slots, serviceMs: about(SERVICE_MS) };
    const overload = simulate({ ...load, fromMs: 65_000 });
    assert.ok(overload.goodput >= 0.9 * CAPACITY);
    assert.ok(overload.p99Ms <= 3 * unloaded.p99Ms, `p99 ${overload.p99Ms} after the first probe`);
  });

  it('lets in what an upstream bears that has become slow by itself', () => {
    const slow = simulate({
      rate: () => 500,
      durationMs: 60_000,
      slots: () => 1_000,
      serviceMs: (atMs, random) => about(atMs < 20_000 ? 20 : 100)(atMs, random),
      fromMs: 30_000,
    });
    assert.ok(slow.refusedShare < 0.001, `refused ${slow.refusedShare} although nothing was in anybody's way`);
  });

  it('is not misled by work that differs a hundredfold', () => {
    const mixed = simulate({
      rate: () => 500,
      durationMs: 60_000,
      slots: () => 1_000,
      serviceMs: (_atMs, random) =>
        random() < 0.02 ? 1_000 * random() : 20 * Math.exp((random() + random() + random() - 1.5) * 1.5),
    });
    assert.equal(mixed.refusedShare, 0);
  });

  it('is tight while an upstream stands still, and wide again within seconds', () => {
    const paused = simulate({
      rate: () => 500,
      durationMs: 20_000,
      slots: (atMs) => (atMs > 5_000 && atMs < 8_000 ? 0 : 64),
      serviceMs: about(SERVICE_MS),
      fromMs: 11_000,
    });
    assert.equal(paused.refusedShare, 0);
    assert.ok(paused.p99Ms < 2 * unloaded.p99Ms);
  });

  it('refuses nobody for moments in which all stands still, also when they are many', () => {
    // Pauses of a garbage collector, of a disk, of the machine: some 60 requests wait, and all are answered at once after it.
    for (const everyMs of [300, 500, 1_000, 2_000]) {
      const paused = simulate({
        rate: () => 400,
        durationMs: 60_000,
        slots: (atMs) => (atMs > 5_000 && atMs % everyMs < 150 ? 0 : 64),
        serviceMs: about(SERVICE_MS / 4),
      });
      assert.equal(paused.refusedShare, 0, `every ${everyMs} ms`);
    }
  });

  it('does not probe while there is room for all, however many they are', () => {
    for (const demand of [150, 300, 600, 800]) {
      const limit = createConcurrencyLimit(20, 1_000);
      let refused = 0;
      for (let window = 0; window < 2_000; window++) {
        const inFlight = Math.min(demand, limit.current());
        // In the first minute there may be a reason: they came all at once.
        if (window > 610) refused += demand - inFlight;
        for (let each = 0; each < 50; each++) limit.observe('x', SERVICE_MS);
        limit.adapt({ peakInFlight: inFlight, lagMs: 0, oldest: undefined });
      }
      assert.equal(refused, 0, `of ${demand}`);
    }
  });

  const calm = { peakInFlight: 110, lagMs: 0, oldest: undefined };

  it('shrinks with the delay of the event loop, and with what an upstream refuses', () => {
    for (const worsen of [
      (limit: ReturnType<typeof createConcurrencyLimit>) => {
        for (let window = 0; window < 5; window++) limit.adapt({ ...calm, lagMs: 200 });
      },
      (limit: ReturnType<typeof createConcurrencyLimit>) => {
        limit.drop();
        limit.adapt(calm);
      },
    ]) {
      const limit = createConcurrencyLimit(20, 1_000);
      const before = limit.current();
      worsen(limit);
      assert.ok(limit.current() <= 0.5 * before, `${limit.current()} after ${before}`);
    }
  });

  it('does not take a few requests for what delays the event loop', () => {
    const limit = createConcurrencyLimit(20, 1_000);
    const before = limit.current();
    for (let window = 0; window < 50; window++) limit.adapt({ peakInFlight: 90, lagMs: 500, oldest: undefined });
    assert.equal(limit.current(), before);
  });

  it('never undercuts its floor, nor passes its maximum', () => {
    for (const [min, max] of [
      [1, 1],
      [1, 10],
      [20, 20],
      [20, 5_000],
    ] as const) {
      const limit = createConcurrencyLimit(min, max);
      for (let window = 0; window < 100; window++) {
        limit.drop();
        limit.adapt({ peakInFlight: max, lagMs: 5_000, oldest: undefined });
      }
      assert.ok(limit.current() >= min && limit.current() < Math.max(30, min + 1));
      for (let window = 0; window < 1_000; window++) {
        for (let each = 0; each < 10; each++) limit.observe('x', SERVICE_MS);
        limit.adapt({ peakInFlight: max, lagMs: 0, oldest: undefined });
      }
      assert.equal(limit.current(), max);
    }
  });
});
