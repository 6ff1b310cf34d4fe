import { createWorkTimes } from './work-times.ts';

/** What is let in before anything is known, and again when it has been calm. */
const START_LIMIT = 256;
/** Growth in one window until the first sign of too much, as in TCP's slow start. */
const FIRST_GROWTH = 1.5;
/** Delay of the event loop, in milliseconds. */
const LAG_TARGET_MS = 25;
/** Windows that it has to be late one after the other: then there is a queue for it, and not one long turn. */
const LATE_WINDOWS = 5;
/** Fewer requests than these are not what delays it. */
const LAG_FLOOR = 100;
/**
 * Windows of slow work, one after the other, before a limit shrinks that is far from used up: whatever stood still for a moment
 * is over then, and what waited meanwhile came through. A limit that is used up shrinks at once.
 */
const SLOW_WINDOWS = 3;
/** The share of the limit up to which it is far from used up. */
const HARDLY_USED = 0.5;
/** The least that is left of a limit after one window. */
const STEEPEST = 0.5;
/** What is left of it after a window in which an upstream said that it has too much to do. */
const AFTER_DROP = 0.8;
/** Fewer say nothing: they count with those of the next window. */
const MIN_SAMPLES = 10;
/** Windows for which the least time is remembered, and as many again. */
const HORIZON = 600;
/** Windows of a probe, which shows how long the work takes with a quarter of the requests. */
const PROBE_WINDOWS = 3;
const PROBE_SHARE = 0.25;
/** Share of the limit from which there is a reason for one: nobody is refused before, and each probe refuses some. */
const USED_UP = 0.9;
/** Windows with few requests after which the work is taken to be as slow by itself as it is now. */
const FEW_WINDOWS = 10;

/** What happened within one window, which is some 100 ms. */
export interface Window {
  /** The most requests that were worked on at once. */
  readonly peakInFlight: number;
  /** How late the event loop was for its end, in milliseconds. */
  readonly lagMs: number;
  /** The work that has been going on for longest, if any. */
  readonly oldest: { readonly operation: string; readonly ageMs: number } | undefined;
}

export type ConcurrencyLimit = ReturnType<typeof createConcurrencyLimit>;

/**
 * How many requests may be worked on at once, learned from how long they take: the gradient algorithm of Netflix's
 * concurrency-limits (Gradient2: limit × tolerated time / time + √limit), against the least time of the last minutes, for each
 * operation by itself, as TCP Vegas and BBR do, and with BBR's regular probe of it under less load. The delay of the event
 * loop counts as CoDel counts it: when the least of an interval is too much. It has no clock: `adapt` ends a window. `min`
 * requests are taken to harm nobody, and to tell how long the work takes by itself.
 */
export function createConcurrencyLimit(min: number, max: number) {
  const times = createWorkTimes();
  const start = Math.max(min, Math.min(START_LIMIT, max));
  let limit = start;
  let isNew = true;
  let dropped = false;
  let windows = 0;
  let windowsOfFew = 0;
  let lateWindows = 0;
  let slowWindows = 0;
  let isPressed = false;
  let isJudged = false;
  let mayPass = false;
  let probe: { windowsLeft: number; readonly limitBefore: number } | undefined;

  function gradientOf({ peakInFlight, lagMs, oldest }: Window): number {
    lateWindows = lagMs > LAG_TARGET_MS ? lateWindows + 1 : 0;
    const isLate = lateWindows >= LATE_WINDOWS && peakInFlight > LAG_FLOOR;
    const ofLag = isLate ? LAG_TARGET_MS / lagMs : 1;
    const ofDrops = dropped ? AFTER_DROP : 1;
    let ofTimes = 1;
    isJudged = times.samples() >= MIN_SAMPLES;
    if (isJudged) ofTimes = times.readGradient(probe !== undefined);
    // Nothing was finished at all.
    else if (times.samples() === 0 && oldest) ofTimes = times.gradientOfOldest(oldest.operation, oldest.ageMs);
    slowWindows = ofTimes < 1 ? slowWindows + 1 : 0;
    mayPass = ofLag === 1 && !dropped && slowWindows < SLOW_WINDOWS && peakInFlight < limit * HARDLY_USED;
    dropped = false;
    return Math.max(STEEPEST, Math.min(ofLag, ofDrops, ofTimes));
  }

  function follow(gradient: number, peakInFlight: number): void {
    const used = Math.min(limit, peakInFlight);
    const isFew = used <= min;
    if (gradient < 1 && !isFew && !mayPass) {
      limit = Math.max(min, Math.min(limit, used * gradient + Math.sqrt(used)));
      isNew = false;
    } else if (gradient === 1 && peakInFlight < limit * HARDLY_USED) {
      if (limit < start) limit = Math.min(start, limit + Math.sqrt(limit));
    } else if (gradient === 1 && isJudged) {
      // A window in which too little was done to tell anything is no reason for more.
      limit = Math.min(max, isNew ? limit * FIRST_GROWTH : limit + Math.sqrt(limit));
    }
    windowsOfFew = gradient < 1 && isFew ? windowsOfFew + 1 : 0;
    if (windowsOfFew < FEW_WINDOWS) return;
    windowsOfFew = 0;
    times.learnAnew();
  }

  function rotate(): void {
    times.turnHorizon();
    if (!isPressed) return;
    isPressed = false;
    probe = { windowsLeft: PROBE_WINDOWS, limitBefore: limit };
    limit = Math.max(min, limit * PROBE_SHARE);
  }

  return {
    /** Requests; not whole. */
    current: (): number => limit,

    /** Work has been done, and took so long, in milliseconds. */
    observe: times.observe,

    /** An upstream has refused work because it has too much to do. */
    drop(): void {
      dropped = true;
    },

    /** Ends a window, and with it what was learned in it changes the limit. */
    adapt(window: Window): void {
      isPressed ||= !probe && window.peakInFlight >= limit * USED_UP;
      const gradient = gradientOf(window);
      if (probe) {
        if (--probe.windowsLeft > 0) return;
        limit = probe.limitBefore;
        probe = undefined;
        return;
      }
      follow(gradient, window.peakInFlight);
      if (++windows % HORIZON === 0) rotate();
    },
  };
}
