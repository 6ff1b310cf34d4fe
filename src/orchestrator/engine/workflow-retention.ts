import type { Log } from '../../shared/log.ts';
import type { Metrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { deleteOldEvents } from '../store/old-events.ts';
import { deleteOldWorkflows, findOldWorkflows, type OldWorkflowsPage } from '../store/old-workflows.ts';
import type { Chore } from './chore.ts';
import { startRetention } from './retention.ts';
import { requestIdOf } from './step-transitions.ts';

// What one statement does: short enough that nobody notices it.
const WORKFLOWS_TO_LOOK_AT = 500;
const WORKFLOWS_TO_DELETE = 20;
const EVENTS_TO_DELETE = 500;
const EVENTS_OF_ONE = 100;

export interface WorkflowRetentionParts {
  readonly database: Pick<Database, 'pool'>;
  /** How long a workflow is kept after its end; 0 is for ever. */
  readonly days: number;
  /** Has the durable engine forget runs that are over, by their request ids. */
  readonly forgetRuns: (requestIds: readonly string[]) => Promise<void>;
  readonly metrics: Pick<Metrics, 'eventsDeleted' | 'workflowsDeleted'>;
  readonly log: Log;
}

export type TidyWorkflowsParts = Pick<WorkflowRetentionParts, 'database' | 'forgetRuns' | 'metrics'>;

/** Deletes old workflows, every hour, or more often when they are not kept for a day. */
export function startWorkflowRetention({ days, log, ...parts }: WorkflowRetentionParts): Chore {
  return startRetention({ what: 'workflows', days, tidy: (ageMs, signal) => tidyWorkflows(parts, ageMs, signal), log });
}

/**
 * Looks at every workflow that was submitted more than `ageMs` ago, and deletes those that have been over for as long.
 * Answers how many; throws the reason of `signal` when it aborts.
 */
export async function tidyWorkflows(
  { database: { pool }, forgetRuns, metrics }: TidyWorkflowsParts,
  ageMs: number,
  signal: AbortSignal,
): Promise<number> {
  let deleted = 0;
  let page: OldWorkflowsPage | undefined;
  do {
    signal.throwIfAborted();
    const bounds = { limit: WORKFLOWS_TO_LOOK_AT, maxEvents: EVENTS_OF_ONE };
    page = await findOldWorkflows(pool, ageMs, bounds, page?.last);
    for (const id of page.longIds) await shortenHistory(id);
    for (let index = 0; index < page.workflowIds.length; index += WORKFLOWS_TO_DELETE) {
      signal.throwIfAborted();
      const ids = page.workflowIds.slice(index, index + WORKFLOWS_TO_DELETE);
      const { count, attempts } = await deleteOldWorkflows(pool, ids, ageMs, EVENTS_OF_ONE);
      metrics.workflowsDeleted(count);
      deleted += count;
      // Normally the engine has forgotten them long since, as it does if this fails.
      if (attempts.length > 0) await forgetRuns(attempts.map(requestIdOf));
    }
  } while (page.last);
  return deleted;

  /** Leaves its last event. Should it be opened again before it goes, a stream tells of the gap. */
  async function shortenHistory(id: string): Promise<void> {
    for (let count = EVENTS_TO_DELETE; count === EVENTS_TO_DELETE; ) {
      signal.throwIfAborted();
      count = await deleteOldEvents(pool, id, ageMs, EVENTS_TO_DELETE);
      metrics.eventsDeleted(count);
    }
  }
}
