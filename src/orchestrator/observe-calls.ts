import { isMessage, type Message } from '@bufbuild/protobuf';
import { Code, type Interceptor } from '@connectrpc/connect';
import { AcceptWorkflowResponseSchema, WorkflowSchema } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { Health } from '../gen/grpc/health/v1/health_pb.ts';
import type { Log } from '../shared/log.ts';
import { startRpcSpan } from '../shared/rpc-spans.ts';
import { type TraceHeaders, type Tracing, watchOpening } from '../shared/tracing.ts';
import { toConnectError } from './errors.ts';

/** W3C Trace Context, section 3.2. */
const TRACE_ID = /^[0-9a-f]{2}-([0-9a-f]{32})-/;
const CHANGES = /^(Submit|Accept|Cancel|Retry|Grant)/;

/**
 * Logs each call with the request id it came with, and turns whatever was thrown into a ConnectError. With `tracing` a call
 * has a span, which stands in its headers from then on: what it leads to is within it. The span of a stream ends when it is
 * open, and probes have none.
 */
export function createCallObserver(log: Log, tracing?: Tracing): Interceptor {
  return (next) => async (request) => {
    const startedMs = performance.now();
    const method = request.method.name;
    const span =
      tracing && request.service.typeName !== Health.typeName
        ? startRpcSpan(tracing, 'server', request.method, traceHeadersOf(request.header))
        : undefined;
    if (span) setTraceHeaders(request.header, span.headers);
    const requestId = request.header.get('x-request-id') ?? undefined;
    const endSpan = (thrown?: unknown) => span?.end(thrown, { 'foldforge.request_id': requestId });
    const facts = {
      method,
      request_id: requestId,
      trace_id: TRACE_ID.exec(request.header.get('traceparent') ?? '')?.[1],
      ...(span && { span_id: span.spanId }),
    };
    const elapsed = () => Math.round(performance.now() - startedMs);

    function succeed(workflow_id?: string): void {
      log[CHANGES.test(method) ? 'info' : 'debug']({ ...facts, workflow_id, ms: elapsed() }, 'call');
    }

    function fail(thrown: unknown): never {
      const error = toConnectError(thrown);
      endSpan(error);
      const outcome = { ...facts, code: Code[error.code], ms: elapsed() };
      if (error.code === Code.Internal) log.error({ ...outcome, err: error.cause ?? error }, 'call failed');
      else if (error.cause instanceof Error) log.warn({ ...outcome, err: error.cause }, 'call failed');
      else log.debug({ ...outcome, reason: error.rawMessage }, 'call refused');
      throw error;
    }

    async function* watch<T>(messages: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
      try {
        yield* messages;
        succeed();
      } catch (error) {
        fail(error);
      }
    }

    try {
      const response = await next(request);
      if (response.stream) {
        const messages = span ? watchOpening(response.message, endSpan) : response.message;
        return { ...response, message: watch(messages) };
      }
      endSpan();
      succeed(workflowIdIn(response.message));
      return response;
    } catch (error) {
      return fail(error);
    }
  };
}

function traceHeadersOf(header: Headers): TraceHeaders {
  return {
    traceparent: header.get('traceparent') ?? undefined,
    tracestate: header.get('tracestate') ?? undefined,
  };
}

function setTraceHeaders(header: Headers, { traceparent, tracestate }: TraceHeaders): void {
  header.set('traceparent', traceparent!);
  if (tracestate === undefined) header.delete('tracestate');
  else header.set('tracestate', tracestate);
}

/** Of the workflow that a call has made or changed. */
function workflowIdIn(message: Message): string | undefined {
  if (isMessage(message, WorkflowSchema)) return message.id;
  return isMessage(message, AcceptWorkflowResponseSchema) ? message.workflow?.id : undefined;
}
