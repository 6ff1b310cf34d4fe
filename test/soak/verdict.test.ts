import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Reading } from './readings.ts';
import { median, slope } from './trend.ts';
import { judgeGrowth } from './verdict.ts';

describe('the trend of a soak', () => {
  it('has a middle, whatever was not read', () => {
    assert.equal(median([5, 1, Number.NaN, 3]), 3);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.ok(Number.isNaN(median([Number.NaN])));
  });

  it('has a slope', () => {
    const line = Array.from({ length: 10 }, (_, x) => [x, 3 * x + 1] as const);
    assert.equal(slope(line), 3);
    assert.equal(slope([[1, 1]]), 0);
  });
});

describe('the verdict on growth', () => {
  const blank: Reading = {
    atMs: 0,
    rssMb: 100,
    heapMb: 40,
    externalMb: 10,
    sockets: 20,
    pipes: 9,
    files: 11,
    established: 17,
    closing: 0,
    handles: 20,
    lagMs: 5,
    streams: 0,
    upstreamStreams: 0,
    inFlight: 0,
    cpuPercent: 10,
    orchestratorRssMb: Number.NaN,
    orchestratorSockets: 20,
  };
  const at = (...rssMb: number[]) => rssMb.map((mb, index) => ({ ...blank, rssMb: mb, atMs: index * 60_000 }));

  it('allows a tenth', () => {
    const { failures, lines } = judgeGrowth({
      early: at(99, 100, 300),
      late: at(110),
      quiet: at(110),
      half: at(100, 102, 104),
    });
    assert.deepEqual(failures, []);
    assert.match(lines.join(), /x 1\.100.*RSS 2\.00 MiB/);
  });

  it('refuses more, under load and at rest, and what was never read', () => {
    const judge = (late: number, quiet: number) =>
      judgeGrowth({ early: at(100), late: at(late), quiet: at(quiet), half: at(100) }).failures;
    assert.deepEqual(judge(111, 100), ['RSS under load grew from 100.0 MiB after the warm-up to 111.0 MiB']);
    assert.deepEqual(judge(100, 111), ['RSS grew from 100.0 MiB after the warm-up to 111.0 MiB at rest']);
    assert.equal(judge(Number.NaN, Number.NaN).length, 2);
  });
});
