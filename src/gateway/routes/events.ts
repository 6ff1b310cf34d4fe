import type { ServerResponse } from 'node:http';
import type { StreamSlot, StreamSlots } from '../access/stream-slots.ts';
import type { StreamTickets } from '../access/stream-tickets.ts';
import type { Answer, Call, Facts, Lifecycle, RequestContext } from '../context.ts';
import { errorBody, type Fault, GatewayError, toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { EventHub } from '../upstream/event-hub.ts';
import { isOverAt } from '../upstream/follow-events.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import type { Watcher } from '../upstream/shared-stream.ts';
import {
  changedAtMs,
  endFrame,
  HEARTBEAT_COMMENT,
  HEARTBEAT_EVENT,
  namedFrame,
  parseEventId,
  retryFrame,
  snapshotFrame,
} from '../wire/sse.ts';
import { isTerminal } from '../wire/workflow-json.ts';
import { answerJson } from './answer.ts';
import { createEventWriter, type StreamLimits } from './event-writer.ts';

interface EventParts {
  readonly orchestrator: Orchestrator;
  readonly hub: EventHub;
  readonly slots: StreamSlots;
  readonly tickets: StreamTickets;
  readonly metrics: Pick<Metrics, 'openStreams' | 'streamCuts' | 'eventsSent'>;
  readonly lifecycle: Lifecycle;
  readonly limits: StreamLimits;
  readonly logFault: (error: GatewayError, request: LoggedRequest) => void;
}

type LoggedRequest = Pick<Facts, 'requestId' | 'route'> & { readonly call: Pick<Call, 'metadata'> };

const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
  Connection: 'close',
};

/** Handlers of the tag `events`. */
export function createEventRoutes(parts: EventParts) {
  const { orchestrator, hub, slots, tickets, metrics, lifecycle, limits, logFault } = parts;

  // Takes what it needs and not the request's context: a stream lives for hours, and there are thousands.
  function stream(
    outgoing: ServerResponse,
    request: LoggedRequest,
    slot: StreamSlot,
    heartbeat: Buffer,
    cursor: bigint | undefined,
    join: (watcher: Watcher) => () => void,
  ): void {
    const opening = { retryMs: jitteredRetryMs(), cursor };
    const writer = createEventWriter(outgoing, opening, heartbeat, limits, metrics);
    const fail = (error: GatewayError) => writer.end(namedFrame('error', errorBody(error, request.requestId, 'GET')));
    metrics.openStreams.inc();
    outgoing.on('close', () => metrics.openStreams.dec());
    slot.onEnd((reason) => {
      if (reason.kind === 'refused') return fail(reason.error);
      // Later than this process takes connections: it would refuse the stream, and an EventSource then gives up.
      writer.end(retryFrame(jitteredRetryMs(reason.closesInMs)));
    });
    if (outgoing.writableEnded) return;
    const leave = join({
      write: writer.write,
      ready: writer.ready,
      end(outcome) {
        if ('state' in outcome) return writer.end(endFrame(outcome.state));
        const error = toGatewayError(outcome.error);
        logFault(error, request);
        fail(error);
      },
    });
    outgoing.on('close', leave);
  }

  return {
    async streamWorkflowEvents(c: RequestContext): Promise<Answer | undefined> {
      const { incoming, outgoing } = c.env;
      const { caller, call, input, requestId, route } = c.env.facts;
      const workflowId = input.params.id!;
      const cursor = readCursor(c);
      // A 503 would stop a browser's EventSource for good. One that comes back is told when to come back again.
      const resumes = cursor !== undefined;
      const slot = slots.take(caller, outgoing, { resumes });
      const mark = hub.mark(workflowId);
      const workflow = await orchestrator.getWorkflow({ workflowId }, call);
      if (
        cursor !== undefined &&
        isTerminal(workflow.state) &&
        (await isOverAt(orchestrator, workflowId, cursor, call))
      ) {
        return { status: 204 };
      }
      if (lifecycle.draining && !resumes) throw new GatewayError('UNAVAILABLE', 'shutting down');
      const headers = cursor === undefined ? STREAM_HEADERS : { ...STREAM_HEADERS, 'Last-Event-ID': String(cursor) };
      if (incoming.method === 'HEAD') return { status: 200, headers };
      if (outgoing.destroyed) return undefined;
      c.env.facts.streaming = true;
      // The stream ends with its connection, so that the bytes of an event go out as they are, without a chunk around them.
      outgoing.removeHeader('Transfer-Encoding');
      outgoing.writeHead(200, { ...c.env.facts.headers, ...headers }).flushHeaders();
      const heartbeat = input.query.heartbeat === 'event' ? HEARTBEAT_EVENT : HEARTBEAT_COMMENT;
      const watch = { workflowId, cursor, metadata: call.metadata, changedAtMs: changedAtMs(workflow) };
      const asRead = () => snapshotFrame(workflow);
      const logged = { requestId, route, call: { metadata: call.metadata } };
      stream(outgoing, logged, slot, heartbeat, cursor, (watcher) => hub.watch(watch, watcher, mark, asRead));
      return undefined;
    },

    async createStreamTicket(c: RequestContext): Promise<Answer> {
      const workflowId = c.env.facts.input.params.id!;
      await orchestrator.getWorkflow({ workflowId }, c.env.facts.call);
      const { ticket, expiresAtMs } = tickets.mint(workflowId, c.env.facts.caller);
      const url = `/v1/workflows/${encodeURIComponent(workflowId)}/events?ticket=${ticket}`;
      return answerJson({ ticket, expires_at: new Date(expiresAtMs).toISOString(), url }, 201);
    },
  };
}

function readCursor(c: RequestContext): bigint | undefined {
  const { headers, query } = c.env.facts.input;
  const header = headers['last-event-id'];
  const [text, pointer] =
    header !== undefined ? [header, '#/header/Last-Event-ID'] : [query.last_event_id, '#/query/last_event_id'];
  if (text === undefined) return undefined;
  const cursor = parseEventId(String(text));
  if (cursor !== undefined) return cursor;
  const fault: Fault = { pointer, message: 'must be a decimal uint64' };
  throw new GatewayError('INVALID_ARGUMENT', `the event id ${fault.message}`, { faults: [fault] });
}

/** 1 to 5 seconds, and at least half a second more than `afterMs`, so that readers do not come back together. */
function jitteredRetryMs(afterMs = 0): number {
  const leastMs = Math.max(afterMs + 500, 1_000);
  return leastMs + Math.random() * Math.max(5_000 - leastMs, 1_000);
}
