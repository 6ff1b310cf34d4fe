import type { PhaseReport } from './phase.ts';
import { describeTally } from './tally.ts';

const COLUMNS = [
  ['attack', 17],
  ['healthz p50/p99/max ms', 24],
  ['honest', 10],
  ['p50/p99/max ms', 19],
  ['RSS MB before/peak/after', 26],
  ['held MB', 12],
  ['fds before/peak/after', 23],
  ['CPU', 6],
  ['lag p99', 9],
  ['late p99', 9],
  ['others', 7],
  ['verdict', 8],
] as const;

export function formatHead(): string {
  return COLUMNS.map(([title, width]) => title.padEnd(width))
    .join('')
    .trimEnd();
}

/** A row of the table, with what there is to say of it below. */
export function formatPhase(report: PhaseReport, failures: readonly string[]): string {
  const { name, seconds, tally, probes, honest, before, peak, after, refusals } = report;
  const cells = [
    name,
    times(probes),
    `${honest.count - honest.failures.length}/${honest.count}`,
    times(honest),
    [before, peak, after].map(({ rssBytes }) => megabytes(rssBytes)).join('/'),
    report.heldBytes.map(megabytes).join('/'),
    [before, peak, after].map(({ fds }) => fds).join('/'),
    `${Math.round(report.cpuShare * 100)} %`,
    `≤ ${report.lagP99Ms}`,
    report.lateP99Ms.toFixed(1),
    report.othersCores.toFixed(2),
    failures.length === 0 ? 'good' : 'FAILED',
  ];
  const row = cells
    .map((cell, index) => cell.padEnd(COLUMNS[index]![1]))
    .join('')
    .trimEnd();
  const below = [
    ...(tally ? [describeTally(tally, seconds)] : []),
    ...(tally ? [`all closed ${(report.closedAfterMs / 1_000).toFixed(1)} s after the attack`] : []),
    ...(refusals.length > 0 ? [`the gateway counted: ${refusals.join(', ')}`] : []),
    ...failures.map((failure) => `FAILED: ${failure}`),
  ];
  return [row, ...below.map((line) => `    ${line}`)].join('\n');
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}

function times({ p50Ms, p99Ms, maxMs }: { p50Ms: number; p99Ms: number; maxMs: number }): string {
  return [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1)).join('/');
}
