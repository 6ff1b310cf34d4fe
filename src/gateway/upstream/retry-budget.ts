export interface RetryBudgetOptions {
  /** Retries for each call. */
  readonly ratio?: number;
  /** Retries that there are from the beginning, for those who make few calls. */
  readonly reserve?: number;
  /** Retries that can be saved up: the most that are made at once, however many calls went well before. */
  readonly most?: number;
  /** There was no retry left. */
  readonly onRefused?: (() => void) | undefined;
}

export type RetryBudget = ReturnType<typeof createRetryBudget>;

/**
 * How often calls may be made again: never more than `reserve` + `ratio` × calls, so that a server that is in trouble gets
 * no multiple of its load from those who retry. A bucket of tokens, as in Finagle and in gRPC's retry throttling (gRFC A6).
 */
export function createRetryBudget({ ratio = 0.1, reserve = 10, most = 100, onRefused }: RetryBudgetOptions = {}) {
  // Whole numbers: ten times 0.1 is less than 1.
  const price = Math.round(1 / ratio);
  const full = most * price;
  let saved = reserve * price;
  return {
    /** A call is made for the first time. */
    deposit(): void {
      if (saved < full) saved++;
    },

    /** Whether a call may be made once more, which this pays for. */
    take(): boolean {
      if (saved < price) {
        onRefused?.();
        return false;
      }
      saved -= price;
      return true;
    },
  };
}
