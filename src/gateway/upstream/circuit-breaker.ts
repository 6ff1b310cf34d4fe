/** Failures in a row after which it opens. */
const LIMIT = 5;
/** Time between two trials while it is open, in milliseconds. */
const TRIAL_EVERY_MS = 1_000;

/** How a call went, for who was called as a whole; `unknown` says nothing of that, as when the caller left. */
export type Outcome = 'good' | 'bad' | 'unknown';

export type CircuitBreaker = ReturnType<typeof createCircuitBreaker>;

interface CircuitBreakerParts {
  /** In milliseconds. */
  readonly now?: () => number;
  readonly onChange?: (isOpen: boolean) => void;
}

/**
 * Leaves a server alone that fails whatever it is asked (Nygard's circuit breaker). Five failures in a row, with no good
 * answer since they were asked, open it: then one call a second is made, as a trial, and the first good answer closes it.
 * The pause does not grow: with nobody else to ask, who is back should be found at once. A trial without an answer does not
 * keep the next one waiting, or one packet that was lost with a network would cost its whole timeout.
 */
export function createCircuitBreaker({ now = () => performance.now(), onChange }: CircuitBreakerParts = {}) {
  let failures = 0;
  let goods = 0;
  let isOpen = false;
  let nextTrialAt = 0;

  function turn(open: boolean): void {
    isOpen = open;
    failures = 0;
    onChange?.(open);
  }

  return {
    /**
     * Undefined: the call must not be made now. Otherwise it may, and how it went is to be told once. A trial that says
     * nothing is made up for at once.
     */
    begin(): ((outcome: Outcome) => void) | undefined {
      const isTrial = isOpen;
      if (isTrial && now() < nextTrialAt) return undefined;
      if (isTrial) nextTrialAt = now() + TRIAL_EVERY_MS;
      const goodsBefore = goods;
      return (outcome) => {
        if (outcome === 'unknown') {
          if (isTrial) nextTrialAt = now();
        } else if (outcome === 'good') {
          goods++;
          failures = 0;
          if (isOpen) turn(false);
        } else if (!isOpen && goods === goodsBefore && ++failures >= LIMIT) {
          nextTrialAt = now() + TRIAL_EVERY_MS;
          turn(true);
        }
      };
    },
  };
}
