import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Lifecycle, RequestContext } from '../context.ts';
import { errorBody, type Fault, GatewayError, toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { createEventHub } from '../upstream/event-hub.ts';
import { isOverAt } from '../upstream/follow-events.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import {
  endFrame,
  HEARTBEAT_COMMENT,
  HEARTBEAT_EVENT,
  namedFrame,
  parseEventId,
  retryFrame,
  snapshotFrame,
} from '../wire/sse.ts';
import { isTerminal } from '../wire/workflow-json.ts';
import { createEventWriter, type EventWriter } from './event-writer.ts';

interface EventParts {
  readonly orchestrator: Orchestrator;
  readonly hub: ReturnType<typeof createEventHub>;
  readonly metrics: Pick<Metrics, 'openStreams' | 'streamCuts'>;
  readonly lifecycle: Lifecycle;
  readonly limits: Parameters<typeof createEventWriter>[2];
  /** How long the listener goes on after the shutdown has begun, in milliseconds. */
  readonly drainDelayMs: number;
  readonly logFault: (error: GatewayError, c: RequestContext) => void;
}

const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
};

/** Handler of the tag `events`, and what ends every open stream when the process shuts down. */
export function createEventRoutes({
  orchestrator,
  hub,
  metrics,
  lifecycle,
  limits,
  drainDelayMs,
  logFault,
}: EventParts) {
  const open = new Set<EventWriter>();

  function streamTo(c: RequestContext, cursor: bigint | undefined, mark: Parameters<typeof hub.watch>[2]): void {
    const { outgoing } = c.env;
    const { requestId, caller, call, input } = c.var;
    const heartbeat = input.query.heartbeat === 'event' ? HEARTBEAT_EVENT : HEARTBEAT_COMMENT;
    const writer = createEventWriter(outgoing, heartbeat, limits, () => metrics.streamCuts.inc());
    open.add(writer);
    metrics.openStreams.inc();
    writer.write(retryFrame(jitteredRetryMs()));
    const stop = hub.watch(
      { workflowId: input.params.id!, principal: caller.principal, cursor, metadata: call.metadata },
      {
        write: (frame) => writer.write(frame.bytes),
        ready: writer.ready,
        end(outcome) {
          if ('state' in outcome) return writer.end(endFrame(outcome.state));
          const error = toGatewayError(outcome.error);
          logFault(error, c);
          writer.end(namedFrame('error', errorBody(error, requestId, 'GET')));
        },
      },
      mark,
    );
    outgoing.once('close', () => {
      open.delete(writer);
      metrics.openStreams.dec();
      stop();
    });
  }

  return {
    async streamWorkflowEvents(c: RequestContext): Promise<Response> {
      const workflowId = c.var.input.params.id!;
      const { caller, call } = c.var;
      const cursor = readCursor(c);
      refuseWhenDraining(lifecycle);
      const mark = hub.mark({ workflowId, principal: caller.principal });
      const workflow = await orchestrator.getWorkflow({ workflowId }, call);
      if (
        cursor !== undefined &&
        isTerminal(workflow.state) &&
        (await isOverAt(orchestrator, workflowId, cursor, call))
      ) {
        return new Response(null, { status: 204 });
      }
      refuseWhenDraining(lifecycle);
      const headers = cursor === undefined ? STREAM_HEADERS : { ...STREAM_HEADERS, 'Last-Event-ID': String(cursor) };
      if (c.env.incoming.method === 'HEAD') return new Response(null, { headers });
      if (c.env.outgoing.destroyed) return RESPONSE_ALREADY_SENT;
      c.set('streaming', true);
      c.env.outgoing.writeHead(200, headers).flushHeaders();
      streamTo(c, cursor, mark && { ...mark, snapshot: snapshotFrame(workflow) });
      return RESPONSE_ALREADY_SENT;
    },

    /** Ends every stream and tells each reader to come back: not all at once, and not while this process refuses them. */
    endAll(): void {
      for (const writer of open) writer.end(retryFrame(jitteredRetryMs(drainDelayMs)));
    },
  };
}

function refuseWhenDraining({ draining }: Lifecycle): void {
  if (draining) throw new GatewayError('UNAVAILABLE', 'shutting down');
}

function readCursor(c: RequestContext): bigint | undefined {
  const { headers, query } = c.var.input;
  const header = headers['last-event-id'];
  const [text, pointer] =
    header !== undefined ? [header, '#/header/Last-Event-ID'] : [query.last_event_id, '#/query/last_event_id'];
  if (text === undefined) return undefined;
  const cursor = parseEventId(String(text));
  if (cursor !== undefined) return cursor;
  const fault: Fault = { pointer, message: 'must be a decimal uint64' };
  throw new GatewayError('INVALID_ARGUMENT', `the event id ${fault.message}`, { faults: [fault] });
}

/** 1 to 5 seconds, later than `afterMs` where that leaves room, so that readers do not come back together. */
function jitteredRetryMs(afterMs = 0): number {
  const least = Math.min(Math.max(afterMs + 500, 1_000), 4_000);
  return least + Math.random() * (5_000 - least);
}
