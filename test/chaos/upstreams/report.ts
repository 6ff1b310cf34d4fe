import { RECOVERY_MS } from './allowed.ts';
import { API_KINDS, type Episode, latencies, overlaps, percentile } from './judge.ts';
import { RECOVERED } from './recovery.ts';
import type { Kind, Sample } from './samples.ts';

const HEADINGS = ['fault', 's', 'API worst', 'healthz p99', ...RECOVERED, 'answers that were not good'];

/** A table with a line for each kind of fault: the worst of all its rounds, in milliseconds. */
export function tabulate(episodes: readonly Episode[], samples: readonly Sample[]): string[] {
  const byName = Map.groupBy(episodes, ({ outage }) => outage.name);
  const rows = [...byName].map(([name, same]) => {
    const outages = same.map(({ outage }) => outage);
    const during = samples.filter((sample) => outages.some((outage) => overlaps(sample, outage)));
    const seconds = Math.max(...outages.map(({ fromMs, untilMs }) => (untilMs - fromMs) / 1_000));
    const firsts = RECOVERED.map((kind) => inMs(Math.max(...same.map(({ recovery }) => recovery[kind]))));
    const worst = Math.max(0, ...latencies(during, API_KINDS));
    return [
      name,
      seconds.toFixed(1),
      inMs(worst),
      inMs(percentile(latencies(during, ['healthz']), 0.99)),
      ...firsts,
      countStatuses(during),
    ];
  });
  return alignColumns([HEADINGS, ...rows]);
}

/** Such as get 503 12, download 502 3. */
export function countStatuses(samples: readonly Sample[]): string {
  const counts = new Map<string, number>();
  for (const { kind, status, broken } of samples) {
    if (status >= 200 && status < 300 && !broken) continue;
    const name = `${kind} ${broken ?? status}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${name}: ${count}`).join(', ') || '-';
}

/** How many of each kind there were. */
export function countKinds(samples: readonly Sample[]): string {
  const groups: Map<Kind, readonly Sample[]> = Map.groupBy(samples, ({ kind }) => kind);
  return [...groups].map(([kind, { length }]) => `${kind} ${length}`).join(', ');
}

export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 || column === row.length - 1 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}

function inMs(ms: number): string {
  if (!Number.isFinite(ms)) return 'never';
  return ms > RECOVERY_MS ? `${Math.round(ms)}!` : String(Math.round(ms));
}
