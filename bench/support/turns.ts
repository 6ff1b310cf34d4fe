export type Turns = ReturnType<typeof createTurns>;

/** Lets several that measure on the same cores do so one at a time, first come, first served: two of them alternate. */
export function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  let stopped: Error | undefined;
  return {
    take<Result>(work: () => Promise<Result>): Promise<Result> {
      const turn = last.then(() => {
        if (stopped) throw stopped;
        return work();
      });
      last = turn.catch(() => undefined);
      return turn;
    },

    /** From now on nobody gets a turn: each fails with `reason` instead. */
    stop(reason: Error): void {
      stopped = reason;
    },

    resume(): void {
      stopped = undefined;
    },
  };
}
