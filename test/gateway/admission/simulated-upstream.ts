import { createConcurrencyLimit } from '../../../src/gateway/admission/concurrency-limit.ts';
import { createSeeded } from '../../chaos/seeded.ts';

const WINDOW_MS = 100;
const ROUND_TRIP_MS = 1;

export interface Load {
  /** Requests in a second, at this time. */
  readonly rate: (atMs: number) => number;
  readonly durationMs: number;
  /** How many requests the upstream works on at once, at this time; others wait in line. */
  readonly slots: (atMs: number) => number;
  /** How long it works on one, at this time, in milliseconds. */
  readonly serviceMs: (atMs: number, random: () => number) => number;
  readonly max?: number;
  /** What is reported begins here. */
  readonly fromMs?: number;
  readonly seed?: number;
}

/** Times are in milliseconds; rates are in requests a second. */
export interface Outcome {
  readonly goodput: number;
  readonly refusedShare: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** At the end of each window. */
  readonly limits: readonly number[];
}

/** Requests that come at random to an upstream with a line in front of it, behind the limit; in a time of its own. */
export function simulate({ rate, durationMs, slots, serviceMs, max = 1000, fromMs = 0, seed = 1 }: Load): Outcome {
  const random = createSeeded(seed).fraction;
  const limit = createConcurrencyLimit(20, max);
  const line: number[] = [];
  /** When each that is worked on began to wait and is done, in order of the latter. */
  const busy: { readonly arrivedAt: number; readonly doneAt: number }[] = [];
  const limits: number[] = [];
  const times: number[] = [];
  let arrived = 0;
  let refused = 0;
  let peak = 0;
  let nextArrival = 0;
  let nextWindow = WINDOW_MS;

  const inFlight = () => line.length + busy.length;
  function serve(now: number): void {
    while (line.length > 0 && busy.length < slots(now)) {
      const one = { arrivedAt: line.shift()!, doneAt: now + serviceMs(now, random) + ROUND_TRIP_MS };
      const place = busy.findLastIndex(({ doneAt }) => doneAt <= one.doneAt);
      busy.splice(place + 1, 0, one);
    }
  }

  for (let now = 0; now < durationMs; ) {
    now = Math.min(nextArrival, nextWindow, busy[0]?.doneAt ?? Number.POSITIVE_INFINITY);
    if (busy[0] && now === busy[0].doneAt) {
      const { arrivedAt } = busy.shift()!;
      limit.observe('read', now - arrivedAt);
      if (arrivedAt >= fromMs) times.push(now - arrivedAt);
    } else if (now === nextWindow) {
      const oldest = [...line, ...busy.map(({ arrivedAt }) => arrivedAt)].sort((a, b) => a - b)[0];
      const told = oldest === undefined ? undefined : { operation: 'read', ageMs: now - oldest };
      limit.adapt({ peakInFlight: peak, lagMs: 0, oldest: told });
      limits.push(limit.current());
      peak = inFlight();
      nextWindow += WINDOW_MS;
    } else {
      nextArrival = now - (Math.log(1 - random()) / rate(now)) * 1000;
      if (now >= fromMs) arrived++;
      if (inFlight() < limit.current()) line.push(now);
      else if (now >= fromMs) refused++;
      peak = Math.max(peak, inFlight());
    }
    serve(now);
  }
  times.sort((a, b) => a - b);
  const quantile = (share: number) => times[Math.floor(times.length * share)] ?? 0;
  return {
    goodput: times.length / ((durationMs - fromMs) / 1000),
    refusedShare: refused / arrived,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    limits,
  };
}
