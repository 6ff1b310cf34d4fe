import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../shared/log.ts';
import type { Metrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { deleteOldEvents, findOldEvents, type OldEventsPage } from '../store/old-events.ts';

const DAY_MS = 24 * 3600 * 1000;
const MIN_INTERVAL_MS = 1_000;
const MAX_INTERVAL_MS = 3600 * 1000;
const RETRY_MS = 60_000;
// What one statement does: short enough that nobody notices it.
const WORKFLOWS_AT_A_TIME = 500;
const EVENTS_AT_A_TIME = 500;

export interface EventRetentionParts {
  readonly database: Pick<Database, 'pool'>;
  /** How long a workflow keeps its events after its end; 0 is for ever. */
  readonly days: number;
  readonly metrics: Pick<Metrics, 'eventsDeleted'>;
  readonly log: Log;
}

/**
 * Deletes old events now, and again and again: every hour, or more often when they are not kept for a day. What fails
 * is tried again. Several processes may do so on one database.
 */
export function startEventRetention(parts: EventRetentionParts): { readonly close: () => Promise<void> } {
  const { database, days, metrics, log } = parts;
  const ageMs = days * DAY_MS;
  const intervalMs = Math.min(Math.max(ageMs / 24, MIN_INTERVAL_MS), MAX_INTERVAL_MS);
  const closing = new AbortController();
  const { signal } = closing;

  async function tidyUntilClosed(): Promise<void> {
    while (!signal.aborted) {
      let pauseMs = intervalMs;
      try {
        const events = await tidyEvents(database, ageMs, metrics, signal);
        if (events > 0) log.info({ events }, 'deleted old events');
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error }, 'deleting old events failed');
        pauseMs = Math.min(intervalMs, RETRY_MS);
      }
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  const tidying = days > 0 ? tidyUntilClosed() : undefined;
  return {
    async close() {
      closing.abort();
      await tidying;
    },
  };
}

/**
 * Looks at every workflow once. Of those that have been over for `ageMs` it deletes all events but the last, with which
 * a stream that is resumed late still ends. Answers how many it has deleted; throws the reason of `signal` when it aborts.
 */
export async function tidyEvents(
  { pool }: EventRetentionParts['database'],
  ageMs: number,
  metrics: EventRetentionParts['metrics'],
  signal: AbortSignal,
): Promise<number> {
  let deleted = 0;
  let page: OldEventsPage | undefined;
  do {
    signal.throwIfAborted();
    page = await findOldEvents(pool, ageMs, WORKFLOWS_AT_A_TIME, page?.last);
    for (const workflowId of page.workflowIds) {
      for (let count = EVENTS_AT_A_TIME; count === EVENTS_AT_A_TIME; ) {
        signal.throwIfAborted();
        count = await deleteOldEvents(pool, workflowId, ageMs, EVENTS_AT_A_TIME);
        metrics.eventsDeleted(count);
        deleted += count;
      }
    }
  } while (page.last);
  return deleted;
}
