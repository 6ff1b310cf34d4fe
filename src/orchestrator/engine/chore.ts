import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../shared/log.ts';

const RETRY_MS = 60_000;

export interface Chore {
  /** Resolves when the work has stopped. */
  readonly close: () => Promise<void>;
}

export interface ChoreParts {
  /** For the log: "<name> failed". */
  readonly name: string;
  /** How long to rest when it is done. */
  readonly intervalMs: number;
  /** Several processes may do it on one database. May throw the reason of `signal` when it aborts. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/** Does a piece of housekeeping now, and again and again. What fails is tried again within a minute. */
export function startChore({ name, intervalMs, work, log }: ChoreParts): Chore {
  const closing = new AbortController();
  const { signal } = closing;

  async function workUntilClosed(): Promise<void> {
    while (!signal.aborted) {
      let pauseMs = intervalMs;
      try {
        await work(signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error }, `${name} failed`);
        pauseMs = Math.min(intervalMs, RETRY_MS);
      }
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  const working = workUntilClosed();
  return {
    async close() {
      closing.abort();
      await working;
    },
  };
}
