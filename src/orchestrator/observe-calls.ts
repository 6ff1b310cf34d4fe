import { Code, type Interceptor } from '@connectrpc/connect';
import type { Log } from '../shared/log.ts';
import { toConnectError } from './errors.ts';

const CHANGES = /^(Submit|Accept|Cancel|Retry|Grant)/;

/** Logs each call with the request id it came with, and turns whatever was thrown into a ConnectError. */
export function createCallObserver(log: Log): Interceptor {
  return (next) => async (request) => {
    const startedMs = performance.now();
    const method = request.method.name;
    const facts = { method, request_id: request.header.get('x-request-id') ?? undefined };
    const elapsed = () => Math.round(performance.now() - startedMs);

    function succeed(): void {
      log[CHANGES.test(method) ? 'info' : 'debug']({ ...facts, ms: elapsed() }, 'call');
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
      succeed();
      return response;
    } catch (error) {
      return fail(error);
    }
  };
}
