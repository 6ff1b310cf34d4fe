/** How much longer than by itself work may take before it counts as waiting for other work; the greater of the two. */
const TOLERANCE = 1.5;
const SLACK_MS = 20;
/** Windows with work of one kind before anything is concluded from the time that it takes. */
const LEARNING_WINDOWS = 10;
/** Weight of the newest window in the time that work usually takes. */
const SMOOTHING = 0.1;

/** Natural logarithms of milliseconds: work differs by factors, and one that took 100 times as long must not hide the rest. */
interface Times {
  windows: number;
  latest: number | undefined;
  smooth: number | undefined;
  /** The least since the last turn of the horizon, and before it. */
  least: number;
  leastBefore: number;
}

/** The same of what one principal had done in this window. */
interface Sum {
  total: number;
  count: number;
}

export type WorkTimes = ReturnType<typeof createWorkTimes>;

/**
 * How long the work of each operation takes, against how long it takes by itself. Of the window that is going on until it is
 * read. Each principal has one voice, and the one in the middle counts: what is slow because of the load is slow for
 * everybody, and whoever asks for what costs much, and at times for what costs little, would shrink the room of all others.
 */
export function createWorkTimes() {
  const operations = new Map<string, Times>();
  let window = new Map<unknown, Map<string, Sum>>();
  let samples = 0;

  function timesOf(operation: string): Times {
    const known = operations.get(operation);
    if (known) return known;
    const times = { windows: 0, latest: undefined, smooth: undefined, least: Infinity, leastBefore: Infinity };
    operations.set(operation, times);
    return times;
  }

  function learnAll(isProbe: boolean): void {
    const means = new Map<string, number[]>();
    for (const sums of window.values()) {
      for (const [operation, { total, count }] of sums) {
        const list = means.get(operation);
        if (list) list.push(total / count);
        else means.set(operation, [total / count]);
      }
    }
    for (const [operation, list] of means) learn(timesOf(operation), median(list), isProbe);
  }

  /** How much longer than tolerated the work of one principal took, on average. */
  function excessOf(sums: ReadonlyMap<string, Sum>): number {
    let excess = 0;
    let all = 0;
    for (const [operation, { total, count }] of sums) {
      excess += Math.max(0, total - count * tolerated(timesOf(operation)));
      all += count;
    }
    return excess / all;
  }

  return {
    /** Work of this principal (any value that stands for it) has been done, and took so long, in milliseconds. */
    observe(operation: string, durationMs: number, principal?: unknown): void {
      const sums = window.get(principal) ?? new Map<string, Sum>();
      const sum = sums.get(operation) ?? { total: 0, count: 0 };
      if (sum.count === 0) window.set(principal, sums.set(operation, sum));
      sum.total += Math.log(Math.max(durationMs, 0.1));
      sum.count++;
      samples++;
    },

    /** How much work was done in this window. */
    samples: (): number => samples,

    /**
     * Ends the window: tolerated time divided by the time that the work took, from above 0 to 1. `isProbe`: there were few
     * requests, so its times need no smoothing.
     */
    readGradient(isProbe: boolean): number {
      learnAll(isProbe);
      const gradient = Math.exp(-median([...window.values()].map(excessOf)));
      window = new Map();
      samples = 0;
      return gradient;
    },

    /** The same for work that is not over yet: it tells at least how long it has been going on, in milliseconds. */
    gradientOfOldest: (operation: string, ageMs: number): number =>
      Math.min(1, Math.exp(tolerated(timesOf(operation)) - Math.log(ageMs))),

    /** From here on the least times are sought anew; those before count for one horizon more. */
    turnHorizon(): void {
      for (const times of operations.values()) {
        times.leastBefore = times.least;
        times.least = Infinity;
      }
    },

    /** Work is as slow by itself as it is now. */
    learnAnew(): void {
      for (const times of operations.values()) {
        times.smooth = times.latest;
        times.least = times.leastBefore = times.latest ?? Infinity;
      }
    },
  };
}

/** The lower of two in the middle. */
function median(values: number[]): number {
  return values.sort((one, other) => one - other)[(values.length - 1) >> 1]!;
}

function learn(times: Times, mean: number, isProbe: boolean): void {
  times.latest = mean;
  times.windows++;
  times.smooth = times.smooth === undefined ? mean : times.smooth + SMOOTHING * (mean - times.smooth);
  times.least = Math.min(times.least, isProbe ? mean : times.smooth);
}

function tolerated({ windows, least, leastBefore }: Times): number {
  const base = Math.min(least, leastBefore);
  if (windows < LEARNING_WINDOWS || base === Infinity) return Infinity;
  return Math.max(base + Math.log(TOLERANCE), Math.log(Math.exp(base) + SLACK_MS));
}
