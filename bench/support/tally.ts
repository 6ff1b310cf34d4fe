export interface Tally {
  readonly requests: number;
  /** How many answers had which status. */
  readonly statuses: Readonly<Record<number, number>>;
  readonly perSecond: number;
  /** From when a request was due until all of its answer was there. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The same of the answers with one status; 0 of none. */
  readonly byStatus: Readonly<Record<number, Times>>;
}

interface Times {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

const FIRST_ROOM = 4_096;

/** Counts answers and how long each took, from now until it is read. */
export function createTally(now: () => number = () => performance.now()) {
  const statuses: Record<number, number> = {};
  const beganAt = now();
  let latenciesMs = new Float64Array(FIRST_ROOM);
  let statusOf = new Uint16Array(FIRST_ROOM);
  let requests = 0;
  return {
    add(status: number, latencyMs: number): void {
      if (requests === latenciesMs.length) {
        const larger = new Float64Array(requests * 2);
        larger.set(latenciesMs);
        latenciesMs = larger;
        const more = new Uint16Array(requests * 2);
        more.set(statusOf);
        statusOf = more;
      }
      statusOf[requests] = status;
      latenciesMs[requests++] = latencyMs;
      statuses[status] = (statuses[status] ?? 0) + 1;
    },

    read(): Tally {
      const perSecond = (requests * 1000) / (now() - beganAt);
      const all = latenciesMs.slice(0, requests);
      const byStatus: Record<number, Times> = {};
      for (const status of Object.keys(statuses).map(Number)) {
        byStatus[status] = timesOf(all.filter((_, index) => statusOf[index] === status));
      }
      const { p50Ms, p99Ms } = timesOf(all);
      return { requests, statuses, perSecond, p50Ms, p99Ms, byStatus };
    },
  };
}

function timesOf(latenciesMs: Float64Array): Times {
  const sorted = latenciesMs.toSorted();
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99), mostMs: sorted.at(-1) ?? 0 };
}

/** The least value that `share` of all are not above (nearest rank); 0 of none. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
