import { type Outage, RECOVERY_MS, sickDuring, whyWrong } from './allowed.ts';
import { RECOVERED, type Recovered } from './recovery.ts';
import type { Kind, Sample } from './samples.ts';

/** One fault, and what was seen of it. */
export interface Episode {
  readonly outage: Outage;
  readonly recovery: Readonly<Record<Recovered, number>>;
}

/** Probes, in milliseconds: 99 of 100 are answered within this, whatever is sick; or within this many times the usual. */
const HEALTH_MS = 50;
/** The API while nothing but the store is sick. */
const API_MS = 250;
const USUAL_TIMES = 3;
/** The kinds that need no store. */
export const API_KINDS: readonly Kind[] = ['get', 'list', 'submit', 'delete'];
/** Wrong answers with less than this between them belong together. */
const SPELL_GAP_MS = 1_000;
/** So many of one kind of fault are told. */
const TOLD = 5;

/** Wrong answers, each with the fault that it fell into. */
export function findWrong(samples: readonly Sample[], outages: readonly Outage[]): string[] {
  const wrong = new Map<string, number>();
  for (const sample of samples) {
    const sick = sickDuring(sample, outages);
    const why = whyWrong(sample, sick);
    if (!why) continue;
    const text = `${why} ${tellWhen(sample, outages)}`;
    wrong.set(text, (wrong.get(text) ?? 0) + 1);
  }
  return [...wrong].map(([text, count]) => `${count}x ${text}`);
}

/**
 * When answers were wrong, as lines, and how long the good ones around them took: whether something stood still that the run
 * did not stop. `beganMs` is when the run began.
 */
export function tellSpells(samples: readonly Sample[], outages: readonly Outage[], beganMs: number): string[] {
  const wrong = samples
    .filter((sample) => whyWrong(sample, sickDuring(sample, outages)) !== undefined)
    .sort((one, other) => one.beganMs - other.beganMs);
  const spells: { fromMs: number; untilMs: number; count: number }[] = [];
  for (const sample of wrong) {
    const last = spells.at(-1);
    if (!last || sample.beganMs > last.untilMs + SPELL_GAP_MS) {
      spells.push({ fromMs: sample.beganMs, untilMs: sample.endedMs, count: 1 });
    } else {
      last.untilMs = Math.max(last.untilMs, sample.endedMs);
      last.count++;
    }
  }
  return spells.map(({ fromMs, untilMs, count }) => {
    const good = samples.filter(
      (sample) =>
        API_KINDS.includes(sample.kind) &&
        sample.status >= 200 &&
        sample.status < 300 &&
        overlaps(sample, { fromMs, untilMs }),
    );
    const slowestMs = Math.round(Math.max(0, ...latencies(good, API_KINDS)));
    const at = ((fromMs - beganMs) / 1_000).toFixed(1);
    return `wrong at ${at} s for ${Math.round(untilMs - fromMs)} ms: ${count} answers; the slowest good one then took ${slowestMs} ms`;
  });
}

function tellWhen(sample: Sample, outages: readonly Outage[]): string {
  const during = outages.filter((outage) => overlaps(sample, { ...outage, untilMs: outage.untilMs + RECOVERY_MS }));
  if (during.length > 0) return `during ${during.map(({ name }) => name).join(', ')}`;
  const before = outages.findLast(({ untilMs }) => untilMs < sample.beganMs);
  return before ? `when nothing was sick, after ${before.name}` : 'before anything was sick';
}

/** First good answers that came too late, for a bound in milliseconds. */
export function findSlowRecoveries(episodes: readonly Episode[], boundMs: number = RECOVERY_MS): string[] {
  return episodes.flatMap(({ outage, recovery }) =>
    RECOVERED.filter((kind) => !(recovery[kind] <= boundMs)).map((kind) => {
      const ms = recovery[kind];
      const told = Number.isFinite(ms) ? `only after ${Math.round(ms)} ms` : 'not at all';
      return `after ${outage.name}: the first good ${kind} came ${told}`;
    }),
  );
}

/** Probes that a sick upstream made slow, and API calls that a sick store did. */
export function findSlow(samples: readonly Sample[], outages: readonly Outage[]): string[] {
  const calm = samples.filter((sample) => sickDuring(sample, outages).size === 0);
  const calmHealthMs = percentile(latencies(calm, ['healthz']), 0.99);
  const calmApiMs = percentile(latencies(calm, API_KINDS), 0.99);
  const health = Math.max(HEALTH_MS, USUAL_TIMES * calmHealthMs);
  const api = Math.max(API_MS, USUAL_TIMES * calmApiMs);
  const faults: string[] = [];
  for (const [name, same] of Map.groupBy(outages, (outage) => outage.name)) {
    const during = samples.filter((sample) => same.some((outage) => overlaps(sample, outage)));
    const healthMs = percentile(latencies(during, ['healthz']), 0.99);
    if (healthMs > health)
      faults.push(`during ${name}: healthz p99 ${Math.round(healthMs)} ms > ${Math.round(health)}`);
    if (!same[0]!.sick.every((upstream) => upstream === 'store')) continue;
    const apiMs = percentile(latencies(during, API_KINDS), 0.99);
    if (apiMs > api) faults.push(`during ${name}: API p99 ${Math.round(apiMs)} ms > ${Math.round(api)}`);
  }
  return faults;
}

export function overlaps(
  { beganMs, endedMs }: Sample,
  { fromMs, untilMs }: Pick<Outage, 'fromMs' | 'untilMs'>,
): boolean {
  return endedMs >= fromMs && beganMs <= untilMs;
}

/** In milliseconds. */
export function latencies(samples: readonly Sample[], kinds: readonly Kind[]): number[] {
  return samples.filter(({ kind }) => kinds.includes(kind)).map(({ beganMs, endedMs }) => endedMs - beganMs);
}

/** The value that a share of all does not exceed; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** The first of many, and how many more there are. */
export function tell(faults: readonly string[]): string[] {
  const untold = faults.length > TOLD * 4 ? [`and ${faults.length - TOLD * 4} more`] : [];
  return [...faults.slice(0, TOLD * 4), ...untold];
}
