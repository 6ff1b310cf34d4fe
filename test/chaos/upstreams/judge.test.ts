import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Outage, sickDuring, whyWrong } from './allowed.ts';
import { percentileBetween, readExposition } from './exposition.ts';
import { findSlowRecoveries, findWrong, tellSpells } from './judge.ts';
import { checkOrders, type Order } from './orders.ts';
import type { Sample } from './samples.ts';
import { createStreamTap } from './stream-tap.ts';

describe('the verdict on sick upstreams', () => {
  const outage: Outage = { name: 'store killed', sick: ['store'], fromMs: 1_000, untilMs: 2_000 };
  const sample: Sample = {
    kind: 'get',
    beganMs: 1_500,
    endedMs: 1_600,
    status: 200,
    code: undefined,
    broken: undefined,
    wrong: undefined,
  };
  const unavailable = { status: 503, code: 'UNAVAILABLE' };
  const broken = { broken: 'broken off' } as const;

  const cases: readonly (readonly [what: string, sample: Partial<Sample>, sick: Outage['sick'], isRight: boolean])[] = [
    ['a good answer', {}, [], true],
    ['a wrong body', { wrong: 'is another file' }, ['store', 'orchestrator'], false],
    ['503 of the API while the orchestrator is sick', unavailable, ['orchestrator'], true],
    ['503 of the API while the store is sick', unavailable, ['store'], false],
    ['503 of the API while nothing is', unavailable, [], false],
    ['503 of healthz', { kind: 'healthz', ...unavailable }, ['orchestrator'], false],
    ['503 of readyz while the database is sick', { kind: 'readyz', status: 503 }, ['database'], true],
    ['500', { status: 500, code: 'INTERNAL' }, ['orchestrator'], false],
    ['429 while the orchestrator is sick', { status: 429, code: 'TOO_MANY_REQUESTS' }, ['orchestrator'], true],
    ['429 while the store is sick', { status: 429, code: 'TOO_MANY_REQUESTS' }, ['store'], false],
    ['401', { status: 401, code: 'UNAUTHENTICATED' }, ['orchestrator'], false],
    ['404 of a file', { kind: 'download', status: 404, code: 'NOT_FOUND' }, ['store'], false],
    ['502 of a file', { kind: 'download', status: 502, code: 'STORE_UNAVAILABLE' }, ['store'], true],
    ['502 of a file while the orchestrator is sick', { kind: 'download', status: 502 }, ['orchestrator'], false],
    ['a file that is cut off', { kind: 'download', ...broken }, ['store'], true],
    ['an answer that is cut off', broken, ['store', 'orchestrator'], false],
    ['no answer', { status: 0, broken: 'no answer' }, ['orchestrator'], false],
    ['a first submission in flight', { kind: 'submit', status: 409, code: 'IDEMPOTENCY_KEY_IN_FLIGHT' }, [], false],
    ['a repeated one in flight', { kind: 'repeat', status: 409, code: 'IDEMPOTENCY_KEY_IN_FLIGHT' }, [], true],
  ];
  for (const [what, changes, sick, isRight] of cases) {
    it(`${isRight ? 'allows' : 'refuses'} ${what}`, () => {
      assert.equal(whyWrong({ ...sample, ...changes }, new Set(sick)) === undefined, isRight);
    });
  }

  it('knows what was sick, two seconds of recovery included', () => {
    const at = (beganMs: number, endedMs: number) => [...sickDuring({ beganMs, endedMs }, [outage])];
    assert.deepEqual(at(0, 999), []);
    assert.deepEqual(at(0, 1_000), ['store']);
    assert.deepEqual(at(4_000, 4_100), ['store']);
    assert.deepEqual(at(4_001, 4_100), []);
    const late = { ...sample, kind: 'download', beganMs: 5_000, endedMs: 5_001, status: 502 } as const;
    assert.deepEqual(findWrong([late, late], [outage]), ['2x download: 502 when nothing was sick, after store killed']);
  });

  it('tells when answers were wrong, and how long good ones took then', () => {
    const refused = { ...sample, kind: 'get', status: 503, code: 'OVERLOADED' } as const;
    const samples = [
      { ...refused, beganMs: 9_000, endedMs: 9_010 },
      { ...refused, beganMs: 9_500, endedMs: 9_600 },
      { ...sample, kind: 'get', status: 200, beganMs: 8_000, endedMs: 9_050 },
      { ...sample, kind: 'get', status: 200, beganMs: 1, endedMs: 8_000 },
      { ...refused, beganMs: 12_000, endedMs: 12_001 },
    ] as const;
    assert.deepEqual(tellSpells(samples, [outage], 1_000), [
      'wrong at 8.0 s for 600 ms: 2 answers; the slowest good one then took 1050 ms',
      'wrong at 11.0 s for 1 ms: 1 answers; the slowest good one then took 0 ms',
    ]);
  });

  it('wants the first good answers within two seconds', () => {
    const recovery = { read: 1, submit: 2_000, download: 2_001, event: Infinity, readyz: 1 };
    assert.deepEqual(findSlowRecoveries([{ outage, recovery }]), [
      'after store killed: the first good download came only after 2001 ms',
      'after store killed: the first good event came not at all',
    ]);
  });

  it('wants every order once', () => {
    const orders = ['a', 'b', 'c', 'd'].map((key) => ({ key, id: key === 'd' ? undefined : `id ${key}` }) as Order);
    const stored = [
      ['id a', 'a'],
      ['id b', 'b'],
      ['id b2', 'b'],
      ['id x', 'x'],
    ] as const;
    assert.deepEqual(checkOrders(orders, stored), [
      'b is there 2 times',
      'c is there 0 times',
      'd was never answered, and is there 0 times',
      'nobody ordered x',
    ]);
  });
});

describe('what the runs read', () => {
  it('reads counters, gauges and histograms', () => {
    const scrape = (fast: number, slow: number) =>
      readExposition(
        `# HELP calls x\ncalls{method="Get",code="OK"} 3\ncalls{method="Get",code="NO"} 1\nopen 7\n` +
          `lag_bucket{le="0.01"} ${fast}\nlag_bucket{le="0.1"} ${fast + slow}\nlag_bucket{le="+Inf"} ${fast + slow}\n`,
      );
    const before = scrape(100, 0);
    assert.deepEqual([before.sum('calls'), before.sum('calls', { code: 'NO' }), before.sum('open')], [4, 1, 7]);
    assert.equal(before.sum('closed'), undefined);
    assert.equal(percentileBetween(before, scrape(199, 1), 'lag', 0.99), 0.01);
    assert.equal(percentileBetween(before, scrape(190, 10), 'lag', 0.99), 0.1);
    assert.equal(percentileBetween(before, before, 'lag', 0.99), 0);
  });

  it('counts HTTP/2 streams from the heads of frames, in pieces of any size', () => {
    const frame = (type: number, flags: number, stream: number, bytes = 0) => {
      const head = Buffer.alloc(9 + bytes);
      head.writeUIntBE(bytes, 0, 3);
      head.set([type, flags], 3);
      head.writeUInt32BE(stream, 5);
      return head;
    };
    const up = Buffer.concat([
      Buffer.alloc(24),
      frame(4, 0, 0, 12),
      frame(1, 5, 1, 40),
      frame(1, 4, 3, 40),
      frame(0, 1, 3, 500),
      frame(1, 5, 5, 7),
      frame(3, 0, 5, 4),
    ]);
    const down = Buffer.concat([frame(1, 4, 1, 20), frame(0, 0, 1, 99), frame(1, 5, 1, 3), frame(8, 0, 3, 4)]);
    for (const size of [1, 7, 10_000]) {
      let streams = 0;
      const tap = createStreamTap(() => streams++);
      for (let at = 0; at < up.length; at += size) tap.up(up.subarray(at, at + size));
      assert.deepEqual([streams, tap.open()], [3, 2]);
      for (let at = 0; at < down.length; at += size) tap.down(down.subarray(at, at + size));
      assert.deepEqual([streams, tap.open()], [3, 1]);
    }
  });
});
