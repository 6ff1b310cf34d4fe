import { create } from '@bufbuild/protobuf';
import {
  type Workflow,
  type WorkflowEvent,
  WorkflowEventSchema,
} from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type State, workflowEventToJson } from './workflow-json.ts';

// Server-Sent Events, WHATWG HTML section 9.2. JSON.stringify never writes a line break, so one data line is enough.

const MAX_UINT64 = 2n ** 64n - 1n;

/** One event of a workflow as bytes that are made once and written to every reader. Id 0: not stored, no cursor. */
export interface EventFrame {
  readonly id: bigint;
  readonly bytes: Buffer;
}

export function eventFrame(event: WorkflowEvent): EventFrame {
  const name = event.event.case === 'stepUpdate' ? 'step_update' : 'workflow_update';
  const id = event.eventId === 0n ? '' : `id: ${event.eventId}\n`;
  const bytes = Buffer.from(`${id}event: ${name}\ndata: ${JSON.stringify(workflowEventToJson(event))}\n\n`);
  return { id: event.eventId, bytes };
}

/** A workflow as it was read, in the form in which an orchestrator opens a fresh stream. */
export function snapshotFrame(workflow: Workflow): EventFrame {
  const event = { case: 'workflowUpdate' as const, value: workflow };
  return eventFrame(
    create(WorkflowEventSchema, {
      workflowId: workflow.id,
      event,
      ...(workflow.updatedAt && { at: workflow.updatedAt }),
    }),
  );
}

export function endFrame(state: State): Buffer {
  return namedFrame('end', { state });
}

/** An event without an id, such as `error`. */
export function namedFrame(name: string, data: unknown): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** Tells an EventSource how long to wait before it connects again. */
export function retryFrame(delayMs: number): Buffer {
  return Buffer.from(`retry: ${Math.round(delayMs)}\n\n`);
}

export const HEARTBEAT_COMMENT = Buffer.from(': heartbeat\n\n');
export const HEARTBEAT_EVENT = namedFrame('heartbeat', {});

/** A cursor as a decimal uint64; undefined for anything else. */
export function parseEventId(text: string): bigint | undefined {
  if (!/^(?:0|[1-9]\d{0,19})$/.test(text)) return undefined;
  const id = BigInt(text);
  return id <= MAX_UINT64 ? id : undefined;
}
