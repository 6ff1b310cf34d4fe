// gRPC over HTTP/2, TimeoutValue: at most 8 digits.
const MAX_TIMEOUT_VALUE = 99_999_999;
const MAX_TIMER_MS = 2 ** 31 - 1;
// The sidecar has a clock of its own, which may be a little ahead.
const TOLERANCE_MS = 1_000;
const TOLERANCE = 0.1;

/** For the header grpc-timeout. Connect would write milliseconds, however many digits that takes. */
export function formatTimeout(seconds: number): string {
  return seconds <= MAX_TIMEOUT_VALUE ? `${seconds}S` : `${Math.ceil(seconds / 60)}M`;
}

/** 0 is none. One that is longer than Node's timers is left to the sidecar. */
export function startDeadline(timeoutSeconds: number, onOver: () => void) {
  const ms = timeoutSeconds * 1000;
  let isOver = false;
  const timer =
    ms > 0 && ms <= MAX_TIMER_MS
      ? setTimeout(() => {
          isOver = true;
          onOver();
        }, ms)
      : undefined;
  const nearAt = performance.now() + ms - Math.min(TOLERANCE_MS, ms * TOLERANCE);
  return {
    isOver: () => isOver,
    /** Whether it is over by the clock of somebody else. */
    isNear: () => ms > 0 && performance.now() > nearAt,
    clear: () => clearTimeout(timer),
  };
}
