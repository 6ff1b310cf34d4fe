/** Bad answers in a row after which an address is left out. */
const LIMIT = 5;
const FIRST_OUT_MS = 1_000;
const LONGEST_OUT_MS = 30_000;
/** How long an address must do well for its next failure to be a first one, in milliseconds. */
const FORGIVEN_AFTER_MS = 60_000;

/** How a server has answered; `late`: not in time; `unknown` says nothing of how it is. */
export type Verdict = 'good' | 'bad' | 'late' | 'unknown';

export type Standing = ReturnType<typeof createStanding>;

/**
 * Whether an address that can be reached answers well enough to be asked. After some bad answers in a row it is out, for a
 * time that doubles; then it has to pass a trial, and the first bad answer after that sends it out again. `now` is in
 * milliseconds.
 */
export function createStanding(now: () => number = () => performance.now()) {
  let failures = 0;
  /** How often it was sent out without having done well for long in between. */
  let times = 0;
  let outUntil = 0;
  let backSince = Number.NEGATIVE_INFINITY;
  let isOnTrial = false;

  function sendOut(): number {
    times++;
    const forMs = Math.min(LONGEST_OUT_MS, FIRST_OUT_MS * 2 ** (times - 1));
    standing.isOut = true;
    outUntil = now() + forMs;
    return forMs;
  }

  function comeBack(failuresSoFar: number): void {
    standing.isOut = false;
    failures = failuresSoFar;
    backSince = now();
  }

  const standing = {
    isOut: false,

    /** A good answer, also of one that is out and was asked for want of another. True: it is back. */
    good(): boolean {
      failures = 0;
      if (!standing.isOut) return false;
      comeBack(0);
      return true;
    },

    /** A bad answer. Returns for how many milliseconds it is out from now on, unless it was, or must not be left out. */
    bad(mayBeLeftOut: () => boolean): number | undefined {
      if (standing.isOut) return undefined;
      failures++;
      if (failures < LIMIT || !mayBeLeftOut()) return undefined;
      if (now() - backSince > FORGIVEN_AFTER_MS) times = 0;
      return sendOut();
    },

    /** There is a new connection to it: it may have been started again. */
    hasten(): void {
      outUntil = Math.min(outUntil, now());
    },

    isTrialDue: (): boolean => standing.isOut && !isOnTrial && now() >= outUntil,

    beginTrial(): void {
      isOnTrial = true;
    },

    /** Returns for how many milliseconds it is out again; undefined when it is back. */
    endTrial(isWell: boolean): number | undefined {
      isOnTrial = false;
      if (!standing.isOut) return undefined;
      if (!isWell) return sendOut();
      comeBack(LIMIT - 1);
      return undefined;
    },
  };
  return standing;
}

export type Standings = ReturnType<typeof createStandings>;

/** A channel that shares the standings of its addresses with others. */
interface User {
  /** A call got no answer in its time: is the server still there? */
  onSilence(key: string): void;
  /** An address is left out, or asked again. */
  onChange(): void;
}

/** The standing of each address, shared by all channels that use it. */
export function createStandings() {
  const known = new Map<string, { readonly standing: Standing; uses: number }>();
  const users = new Set<User>();
  return {
    join: (user: User): void => void users.add(user),
    leave: (user: User): void => void users.delete(user),

    /** Given back with `release`. */
    take(key: string): Standing {
      const entry = known.get(key) ?? { standing: createStanding(), uses: 0 };
      entry.uses++;
      known.set(key, entry);
      return entry.standing;
    },

    release(key: string): void {
      const entry = known.get(key);
      if (entry && --entry.uses === 0) known.delete(key);
    },

    tellSilence(key: string): void {
      for (const user of users) user.onSilence(key);
    },

    tellChange(): void {
      for (const user of users) user.onChange();
    },
  };
}
