import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowEvent } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { workflowNotFound } from '../errors.ts';
import { type Database, isDatabaseAway } from '../store/database.ts';
import { readEvents } from '../store/events.ts';
import type { Listener } from '../store/listener.ts';
import { findWorkflow, isTerminal } from '../store/workflows.ts';
import { decodeEvent, gapBefore, snapshotOf } from '../wire.ts';

// What one slow reader can hold in memory.
const BATCH = { limit: 100, maxBytes: 1024 * 1024 };
/** How long a stream waits for the database. Then the caller may do better at another replica. */
const PATIENCE_MS = 5_000;
const RETRY_MS = 250;
const MAX_EVENT_ID = 2n ** 63n - 1n;

export interface FollowRequest {
  readonly workflowId: string;
  /** Undefined may follow every workflow. */
  readonly principal: string | undefined;
  /** Every stored event with a higher id, or the workflow as it is now and what comes then. */
  readonly from: bigint | 'snapshot';
}

export interface EventFeed {
  /**
   * Yields a workflow's events in order, and ends after the one that finished it. Wherever some are no longer stored, a
   * gap comes first. Throws NOT_FOUND, and the reason of `signal` when it aborts.
   */
  readonly follow: (request: FollowRequest, signal: AbortSignal) => AsyncGenerator<WorkflowEvent, void, undefined>;
}

export function createEventFeed({ pool }: Database, listener: Listener): EventFeed {
  async function* follow({ workflowId, principal, from }: FollowRequest, signal: AbortSignal) {
    const workflow = await findWorkflow(pool, workflowId, principal);
    if (!workflow) throw workflowNotFound();
    let cursor = from === 'snapshot' ? workflow.lastEventId : from > MAX_EVENT_ID ? MAX_EVENT_ID : from;
    if (from === 'snapshot') {
      yield snapshotOf(workflow);
      if (isTerminal(workflow.state)) return;
    }
    const news = listener.subscribe(workflowId);
    try {
      for (;;) {
        signal.throwIfAborted();
        const batch = await readPatiently(workflowId, cursor, signal);
        if (!batch) throw workflowNotFound();
        for (const body of batch.bodies) {
          const event = decodeEvent(body);
          // Looked for at each event, not only at the first: old ones may be deleted between two batches.
          if (event.eventId > cursor + 1n) {
            yield gapBefore(event, cursor);
            signal.throwIfAborted();
          }
          yield event;
          signal.throwIfAborted();
          cursor = event.eventId;
        }
        if (cursor < batch.workflow.lastEventId) {
          // Whoever deleted them was not this program, which always keeps the last one.
          if (batch.bodies.length === 0) throw new Error(`the last events of workflow ${workflowId} are not stored`);
          continue;
        }
        // A retried workflow has an older end in the middle of its history; only the last event is the end.
        if (isTerminal(batch.workflow.state)) return;
        await news.wait(signal);
      }
    } finally {
      news.close();
    }
  }

  /** A database that is started again is waited for. */
  async function readPatiently(workflowId: string, cursor: bigint, signal: AbortSignal) {
    for (const startedAt = performance.now(); ; await sleep(RETRY_MS, undefined, { signal })) {
      try {
        return await readEvents(pool, workflowId, cursor, BATCH);
      } catch (error) {
        if (!isDatabaseAway(error) || performance.now() - startedAt > PATIENCE_MS) throw error;
      }
    }
  }
  return { follow };
}
