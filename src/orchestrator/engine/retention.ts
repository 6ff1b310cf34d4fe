import type { Log } from '../../shared/log.ts';
import { type Chore, startChore } from './chore.ts';

const DAY_MS = 24 * 3600 * 1000;
const MIN_INTERVAL_MS = 1_000;
const MAX_INTERVAL_MS = 3600 * 1000;

export interface RetentionParts {
  /** What is deleted, for the log and its field: `events`, `workflows`. */
  readonly what: string;
  /** How long it is kept; 0 is for ever. */
  readonly days: number;
  /** Deletes what is older than that, and answers how many; throws the reason of `signal` when it aborts. */
  readonly tidy: (ageMs: number, signal: AbortSignal) => Promise<number>;
  readonly log: Log;
}

/** Deletes what is old, every hour, or more often when it is not kept for a day. */
export function startRetention({ what, days, tidy, log }: RetentionParts): Chore {
  if (days === 0) return { close: async () => {} };
  const ageMs = days * DAY_MS;
  return startChore({
    name: `deleting old ${what}`,
    intervalMs: Math.min(Math.max(ageMs / 24, MIN_INTERVAL_MS), MAX_INTERVAL_MS),
    log,
    async work(signal) {
      const count = await tidy(ageMs, signal);
      if (count > 0) log.info({ [what]: count }, `deleted old ${what}`);
    },
  });
}
