import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Lifecycle, RequestContext } from '../context.ts';
import { errorBody, type Fault, GatewayError, toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { createEventHub } from '../upstream/event-hub.ts';
import { isOverAt } from '../upstream/follow-events.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { endFrame, HEARTBEAT_COMMENT, HEARTBEAT_EVENT, namedFrame, parseEventId, retryFrame } from '../wire/sse.ts';
import { isTerminal } from '../wire/workflow-json.ts';
import { createEventWriter, type EventWriter } from './event-writer.ts';

interface EventParts {
  readonly orchestrator: Orchestrator;
  readonly hub: ReturnType<typeof createEventHub>;
  readonly metrics: Pick<Metrics, 'openStreams' | 'streamCuts'>;
  readonly lifecycle: Lifecycle;
  readonly limits: Parameters<typeof createEventWriter>[2];
  readonly logFault: (error: GatewayError, c: RequestContext) => void;
}

const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
};

/** Handler of the tag `events`, and what ends every open stream when the process shuts down. */
export function createEventRoutes({ orchestrator, hub, metrics, lifecycle, limits, logFault }: EventParts) {
  const open = new Set<EventWriter>();

  function streamTo(c: RequestContext, workflowId: string, cursor: bigint | undefined): void {
    const { outgoing } = c.env;
    const { requestId, caller, call, input } = c.var;
    const heartbeat = input.query.heartbeat === 'event' ? HEARTBEAT_EVENT : HEARTBEAT_COMMENT;
    const writer = createEventWriter(outgoing, heartbeat, limits, () => metrics.streamCuts.inc());
    const stop = hub.watch(
      { workflowId, principal: caller.principal, cursor, metadata: call.metadata },
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
    );
    open.add(writer);
    metrics.openStreams.inc();
    outgoing.once('close', () => {
      open.delete(writer);
      metrics.openStreams.dec();
      stop();
    });
    writer.write(retryFrame(jitteredRetryMs()));
  }

  async function isFinished(workflowId: string, cursor: bigint | undefined, c: RequestContext): Promise<boolean> {
    const { state } = await orchestrator.getWorkflow({ workflowId }, c.var.call);
    if (cursor === undefined || !isTerminal(state)) return false;
    return isOverAt(orchestrator, workflowId, cursor, c.var.call);
  }

  return {
    async streamWorkflowEvents(c: RequestContext): Promise<Response> {
      const workflowId = c.var.input.params.id!;
      const cursor = readCursor(c);
      if (lifecycle.draining) throw new GatewayError('UNAVAILABLE', 'shutting down');
      if (await isFinished(workflowId, cursor, c)) return new Response(null, { status: 204 });
      const headers = cursor === undefined ? STREAM_HEADERS : { ...STREAM_HEADERS, 'Last-Event-ID': String(cursor) };
      if (c.env.incoming.method === 'HEAD') return new Response(null, { headers });
      if (c.env.outgoing.destroyed) return RESPONSE_ALREADY_SENT;
      c.set('streaming', true);
      c.env.outgoing.writeHead(200, headers).flushHeaders();
      streamTo(c, workflowId, cursor);
      return RESPONSE_ALREADY_SENT;
    },

    /** Ends every stream and tells each reader to come back, not all at the same moment. */
    endAll(): void {
      for (const writer of open) writer.end(retryFrame(jitteredRetryMs()));
    },
  };
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

/** 1 to 5 seconds, so that readers who lost their streams together do not come back together. */
function jitteredRetryMs(): number {
  return 1_000 + Math.random() * 4_000;
}
