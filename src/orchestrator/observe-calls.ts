import { isMessage, type Message } from '@bufbuild/protobuf';
import { Code, type Interceptor } from '@connectrpc/connect';
import { AcceptWorkflowResponseSchema, WorkflowSchema } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { Log } from '../shared/log.ts';
import { toConnectError } from './errors.ts';

/** W3C Trace Context, section 3.2. */
const TRACE_ID = /^[0-9a-f]{2}-([0-9a-f]{32})-/;
const CHANGES = /^(Submit|Accept|Cancel|Retry|Grant)/;

/** Logs each call with the request id it came with, and turns whatever was thrown into a ConnectError. */
export function createCallObserver(log: Log): Interceptor {
  return (next) => async (request) => {
    const startedMs = performance.now();
    const method = request.method.name;
    const facts = {
      method,
      request_id: request.header.get('x-request-id') ?? undefined,
      trace_id: TRACE_ID.exec(request.header.get('traceparent') ?? '')?.[1],
    };
    const elapsed = () => Math.round(performance.now() - startedMs);

    function succeed(workflow_id?: string): void {
      log[CHANGES.test(method) ? 'info' : 'debug']({ ...facts, workflow_id, ms: elapsed() }, 'call');
    }

    function fail(thrown: unknown): never {
      const error = toConnectError(thrown);
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
      if (response.stream) return { ...response, message: watch(response.message) };
      succeed(workflowIdIn(response.message));
      return response;
    } catch (error) {
      return fail(error);
    }
  };
}

/** Of the workflow that a call has made or changed. */
function workflowIdIn(message: Message): string | undefined {
  if (isMessage(message, WorkflowSchema)) return message.id;
  return isMessage(message, AcceptWorkflowResponseSchema) ? message.workflow?.id : undefined;
}
