import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findMissing, judge } from '../chaos/clients/judge.ts';
import type { PhaseReport, PhaseSighting } from '../chaos/clients/phase.ts';
import { formatPhase } from '../chaos/clients/report.ts';
import { runClients } from '../chaos/clients/run.ts';

const MEGABYTE = 1024 * 1024;

describe('hostile clients', () => {
  // `npm run chaos:clients` runs all attacks in full size; here others use the machine, so no time is held to its bound, and
  // each goes on until enough was seen.
  it('do no harm to others', async () => {
    const { failures, reports } = await runClients({
      seed: 1,
      seconds: 1,
      warmSeconds: 0,
      quietMs: 0,
      only: ['malformed', 'slow-headers'],
      pinned: false,
      largeFileBytes: MEGABYTE,
      bounds: { probeP99Ms: 2_000, peakBytes: 512 * MEGABYTE, heldBytes: 64 * MEGABYTE },
      isEnough: (seen) => findMissing(seen).length === 0 && isSeen(seen) && (SHOWN[seen.name]?.(seen) ?? true),
    });
    assert.deepEqual(failures, []);
    assert.deepEqual(
      reports.map(({ name }) => name),
      ['nobody attacks', 'malformed', 'slow-headers'],
    );
    for (const report of reports) assert.ok(isSeen(report));
    const [, malformed, slow] = reports;
    assert.ok(SHOWN.malformed!(malformed!));
    assert.ok(SHOWN['slow-headers']!(slow!));
    assert.ok(slow!.after.fds < slow!.before.fds + 50);
  });
});

type Seen = Pick<PhaseSighting, 'probes' | 'honest' | 'live' | 'tally' | 'before' | 'peak'>;

const isSeen = ({ probes, honest, live }: Seen) => probes.count > 20 && honest.count > 8 && live.events > 2;

/** What each attack must have brought about, by name. */
const SHOWN: Readonly<Record<string, (seen: Seen) => boolean>> = {
  malformed: ({ tally }) => (tally!.statuses['400'] ?? 0) > 100,
  'slow-headers': ({ before, peak }) => peak.fds > before.fds + 20,
};

describe('what is held against a phase', () => {
  const times = { count: 100, p50Ms: 1, p99Ms: 2, maxMs: 3, failures: [] };
  const vitals = { rssBytes: 100 * MEGABYTE, fds: 30, cpuMs: 0 };
  const tally = { opened: 9, errors: {}, closed: 9, peak: 9, held: 0, sent: 9, statuses: { 400: 9 } };
  const good: PhaseReport = {
    name: 'malformed',
    seconds: 1,
    probes: times,
    honest: times,
    live: { events: 5, failures: [] },
    lateP99Ms: 1,
    tally,
    doubt: undefined,
    before: vitals,
    peak: vitals,
    after: vitals,
    heldBytes: [40 * MEGABYTE, 41 * MEGABYTE],
    closedAfterMs: 1,
    cpuShare: 0.5,
    lagP99Ms: 5,
    refusals: [],
    othersCores: 0,
  };
  const failed = '429 {"code":"RATE_LIMITED","request_id":"';
  const bad: [report: Partial<PhaseReport>, fault: RegExp][] = [
    [{ probes: { ...times, p99Ms: 50 } }, /^healthz p99 is 50\.0 ms$/],
    [{ probes: { ...times, failures: ['healthz on a new connection: ECONNRESET'] } }, /^healthz on a new connection/],
    [{ honest: { ...times, failures: [`read: ${failed}1"}`, `read: ${failed}2"}`] } }, /^read: 429 .*\(× 2\)$/],
    [{ live: { events: 0, failures: [] } }, /^the live stream is silent$/],
    [{ live: { events: 5, failures: ['live stream: after event 1 came 3'] } }, /after event 1 came 3/],
    [{ tally: { ...tally, statuses: { 500: 2 } } }, /^attackers were answered with 500 × 2$/],
    [{ doubt: 'only 3 requests were sent' }, /^only 3 requests were sent$/],
    [{ after: { ...vitals, fds: 100 } }, /^70 files are still open$/],
    [{ peak: { rssBytes: 700 * MEGABYTE, fds: 30 } }, /^the memory rose by 600 MB$/],
    [{ heldBytes: [0, 100 * MEGABYTE] }, /^what is held rose by 100 MB$/],
  ];

  it('is nothing when all is well', () => {
    assert.deepEqual(judge(good), []);
    assert.match(formatPhase(good, []), /^malformed +1\.0\/2\.0\/3\.0 +100\/100 .* good\n/);
  });

  for (const [report, fault] of bad) {
    it(`is told: ${fault.source}`, () => {
      const failures = judge({ ...good, ...report });
      assert.equal(failures.length, 1);
      assert.match(failures[0]!, fault);
      assert.match(formatPhase({ ...good, ...report }, failures), / FAILED\n/);
    });
  }
});
