import type { Transport } from '@connectrpc/connect';
import { type RpcSpan, startRpcSpan } from '../../../shared/rpc-spans.ts';
import type { TraceHeaders, Tracing } from '../../../shared/tracing.ts';

/** A transport whose streaming calls have a span each, from the call to its last message, which the sidecar is told of. */
export function traceRuns(transport: Transport, tracing: Tracing): Transport {
  return {
    unary: transport.unary.bind(transport),
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const caller: TraceHeaders = Object.fromEntries(new Headers(header));
      const span = startRpcSpan(tracing, 'client', method, caller);
      // Whoever gives a run up may read no more of it.
      signal?.addEventListener('abort', () => span.end(signal.reason), { once: true });
      const headers = { ...caller, ...span.headers };
      try {
        const answer = await transport.stream(method, signal, timeoutMs, headers, input, contextValues);
        const message = watch(answer.message, span);
        // Its trailer is not known yet.
        return Object.defineProperty(Object.create(answer), 'message', { value: message }) as typeof answer;
      } catch (error) {
        span.end(error);
        throw error;
      }
    },
  };
}

async function* watch<T>(messages: AsyncIterable<T>, span: RpcSpan): AsyncGenerator<T, void, undefined> {
  try {
    yield* messages;
    span.end();
  } catch (error) {
    span.end(error);
    throw error;
  }
}
