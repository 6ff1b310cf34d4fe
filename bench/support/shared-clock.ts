/** Milliseconds of a clock that all processes of a machine share, with fractions: clock_gettime(2), CLOCK_MONOTONIC. */
export function readSharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
