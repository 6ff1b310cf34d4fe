import { create } from '@bufbuild/protobuf';
import {
  type Workflow,
  type WorkflowEvent,
  WorkflowEventSchema,
} from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { exactInteger } from './exact-integer.ts';
import { milliseconds } from './scalars.ts';
import { type State, workflowEventToJson } from './workflow-json.ts';

// Server-Sent Events, WHATWG HTML section 9.2. JSON.stringify never writes a line break, so one data line is enough.

const MAX_UINT64 = 2n ** 64n - 1n;

/** One event of a workflow as bytes that are made once and written to every reader. Id 0: not stored, no cursor. */
export interface EventFrame {
  readonly id: bigint;
  readonly bytes: Buffer;
  /** The workflow as it is, which opens a fresh stream. */
  readonly isSnapshot?: boolean;
  /** When it happened by the orchestrator's clock, in milliseconds since 1970; undefined when it does not say. */
  readonly atMs?: number | undefined;
}

/** Instead of an event: those after `requested` were asked for, and the store has none before `oldest` any more. */
export interface Gap {
  readonly requested: bigint;
  readonly oldest: bigint;
}

export function eventFrame(event: WorkflowEvent): EventFrame {
  const { eventId } = event;
  const isSnapshot = eventId === 0n && event.event.case === 'workflowUpdate';
  return {
    id: eventId,
    isSnapshot,
    atMs: milliseconds(event.at),
    bytes: Buffer.from(idLine(eventId) + eventLines(event)),
  };
}

function eventLines(event: WorkflowEvent): string {
  const { case: kind } = event.event;
  const name = kind === 'stepUpdate' ? 'step_update' : kind === 'workflowUpdate' ? 'workflow_update' : undefined;
  // A kind that is newer than this gateway: its id alone moves the reader's cursor on.
  if (name === undefined) return '\n';
  return `event: ${name}\ndata: ${JSON.stringify(workflowEventToJson(event))}\n\n`;
}

const ID_FIELD = Buffer.from('id:');

function idLine(id: bigint): string {
  return id === 0n ? '' : `id: ${id}\n`;
}

export function readGap({ event }: WorkflowEvent): Gap | undefined {
  return event.case === 'gap' ? event.value : undefined;
}

/** Tells a reader who has everything up to `requested` that what is between it and `oldest` is no longer stored. */
export function gapFrame(requested: bigint, oldest: bigint): Buffer {
  return namedFrame('gap', { requested: exactInteger(requested), oldest: exactInteger(oldest) });
}

/**
 * What stands before the first bytes of a stream. At each blank line a client takes over the id that it has seen in this
 * stream, so the first one must not come before an id, or a second drop would cost a resumed client its cursor. The id is
 * that of the first event where one comes `next`, else the cursor, given back.
 */
export function openingLines(retryMs: number, cursor: bigint | undefined, next: Buffer): Buffer {
  const startsWithId = next.subarray(0, ID_FIELD.length).equals(ID_FIELD);
  return Buffer.from(`retry: ${Math.round(retryMs)}\n${startsWithId ? '' : `${idLine(cursor ?? 0n)}\n`}`);
}

/** A workflow as it was read, in the form in which an orchestrator opens a fresh stream. */
export function snapshotFrame(workflow: Workflow): Buffer {
  const event = { case: 'workflowUpdate' as const, value: workflow };
  const { id: workflowId, updatedAt: at } = workflow;
  return eventFrame(create(WorkflowEventSchema, { workflowId, event, ...(at && { at }) })).bytes;
}

/** When the workflow last changed, by the orchestrator's clock, in milliseconds since 1970. */
export function changedAtMs({ updatedAt }: Workflow): number | undefined {
  return milliseconds(updatedAt);
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
