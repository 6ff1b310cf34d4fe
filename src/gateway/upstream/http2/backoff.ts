const FIRST_MS = 50;
const FACTOR = 1.6;
const JITTER = 0.2;

/** How long nobody tries again after the `failures`-th failure in a row, in milliseconds: gRPC's connection backoff. */
export function backoffMs(failures: number, longestMs: number, random = Math.random()): number {
  const ms = Math.min(longestMs, FIRST_MS * FACTOR ** (failures - 1));
  return ms * (1 + JITTER * (2 * random - 1));
}
