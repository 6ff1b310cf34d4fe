/** Bad answers in a row with which a circuit opens, unless said otherwise. */
const LIMIT = 5;
const FIRST_OUT_MS = 1_000;
const LONGEST_OUT_MS = 30_000;
/** Time between the beginnings of two trials of an address that nobody stands in for: all calls fail meanwhile. */
const SOLE_TRIAL_MS = 1_000;
/** How long an address must do well for its next failure to be a first one, in milliseconds. */
const FORGIVEN_AFTER_MS = 60_000;

/**
 * How a server has answered; `late`: not in time; `refused`: it has not looked at the call, which is bad where another one
 * would; `unknown` says nothing of how it is.
 */
export type Verdict = 'good' | 'bad' | 'late' | 'refused' | 'unknown';

interface StandingOptions {
  readonly limit?: number;
  readonly now?: () => number;
}

export type Standing = ReturnType<typeof createStanding>;

/**
 * The circuit breaker of an address that can be reached. Closed: it is asked. Some bad answers in a row open it: nobody
 * asks but a trial. One that is passed makes it half-open: it is asked, and the next answer closes it or opens it again.
 * While another address stands in for it (`isCovered`) it is left out for a time that doubles; without one it is tried out
 * at once and every second. `limit` bad answers in a row open it; `now` is in milliseconds.
 */
export function createStanding({ limit = LIMIT, now = () => performance.now() }: StandingOptions = {}) {
  let failures = 0;
  /** How often it was left out without having done well for long in between. */
  let times = 0;
  let outUntil = 0;
  let changedAt = Number.NEGATIVE_INFINITY;
  /** When the last call was made that was answered well. */
  let goodAskedAt = Number.NEGATIVE_INFINITY;
  let trials = 0;
  let lastTrialAt = Number.NEGATIVE_INFINITY;

  function open(isCovered: boolean): void {
    standing.isOut = true;
    standing.isHalfOpen = false;
    changedAt = now();
    leaveOut(isCovered);
  }

  function leaveOut(isCovered: boolean): void {
    if (isCovered) times++;
    outUntil = now() + Math.min(LONGEST_OUT_MS, FIRST_OUT_MS * 2 ** Math.max(0, times - 1));
  }

  const standing = {
    /** Its circuit is open. */
    isOut: false,
    /** It was open, and no call has been answered since. */
    isHalfOpen: false,

    /**
     * A good answer to a call that was made at `askedAt`, which may be before it was out. True: the circuit was not closed, and
     * is now.
     */
    good(askedAt: number): boolean {
      failures = 0;
      if (askedAt > goodAskedAt) goodAskedAt = askedAt;
      if (!standing.isOut && !standing.isHalfOpen) return false;
      standing.isOut = false;
      standing.isHalfOpen = false;
      changedAt = now();
      return true;
    },

    /** A bad answer to a call that was made at `askedAt`. True: the circuit was not open, and is now. */
    bad(askedAt: number, isCovered: () => boolean): boolean {
      // What was asked before the last change says nothing new.
      if (standing.isOut || askedAt < changedAt) return false;
      // Who answers others that came later has a reason not to answer this one: many calls that cost too much, made at
      // once by one caller, would end in a row, too.
      if (askedAt < goodAskedAt) return false;
      failures++;
      if (failures < limit) return false;
      if (now() - changedAt > FORGIVEN_AFTER_MS) times = 0;
      open(isCovered());
      return true;
    },

    /** There is a new connection to it: it may have been started again. */
    hasten(): void {
      outUntil = Math.min(outUntil, now());
      lastTrialAt = Number.NEGATIVE_INFINITY;
    },

    /** When it may be tried out; infinite: not before something happens. */
    trialAt(isCovered: boolean): number {
      if (!standing.isOut) return Number.POSITIVE_INFINITY;
      // The answer to a trial may be stuck in what is over by now: that must not hold up the next one.
      if (!isCovered) return lastTrialAt + SOLE_TRIAL_MS;
      return trials > 0 ? Number.POSITIVE_INFINITY : outUntil;
    },

    beginTrial(): void {
      trials++;
      lastTrialAt = now();
    },

    /** True: the circuit was open, and is half-open now. */
    endTrial(isWell: boolean, isCovered: boolean): boolean {
      trials--;
      if (!standing.isOut) return false;
      if (isWell) {
        standing.isOut = false;
        standing.isHalfOpen = true;
        failures = limit - 1;
        changedAt = now();
      } else if (isCovered) leaveOut(true);
      return isWell;
    },
  };
  return standing;
}

export type Standings = ReturnType<typeof createStandings>;

/** A channel that shares the standings of its addresses with others. */
interface User {
  /** A call got no answer in its time: is the server still there? */
  onSilence(key: string): void;
  /** Whether it has another address that is asked in the place of this one. */
  isCovered(key: string): boolean;
  /** The circuit of an address has opened or closed. */
  onChange(): void;
}

/** The standing of each address, shared by all channels that use it. */
export function createStandings(options: StandingOptions = {}) {
  const known = new Map<string, { readonly standing: Standing; uses: number }>();
  const users = new Set<User>();
  return {
    join: (user: User): void => void users.add(user),
    leave: (user: User): void => void users.delete(user),

    /** Given back with `release`. */
    take(key: string): Standing {
      const entry = known.get(key) ?? { standing: createStanding(options), uses: 0 };
      entry.uses++;
      known.set(key, entry);
      return entry.standing;
    },

    release(key: string): void {
      const entry = known.get(key);
      if (entry && --entry.uses === 0) known.delete(key);
    },

    isCovered: (key: string): boolean => [...users].some((user) => user.isCovered(key)),

    tellSilence(key: string): void {
      for (const user of users) user.onSilence(key);
    },

    tellChange(): void {
      for (const user of users) user.onChange();
    },
  };
}
