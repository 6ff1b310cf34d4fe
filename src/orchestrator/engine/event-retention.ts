import type { Log } from '../../shared/log.ts';
import type { Metrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { deleteOldEvents, findOldEvents, type OldEventsPage } from '../store/old-events.ts';
import type { Chore } from './chore.ts';
import { startRetention } from './retention.ts';

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

/** Deletes old events, every hour, or more often when they are not kept for a day. */
export function startEventRetention({ database, days, metrics, log }: EventRetentionParts): Chore {
  return startRetention({
    what: 'events',
    days,
    tidy: (ageMs, signal) => tidyEvents(database, ageMs, metrics, signal),
    log,
  });
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
