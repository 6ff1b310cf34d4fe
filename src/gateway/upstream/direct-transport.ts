import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import { type CallSpans, createCallSpans } from './call-spans.ts';
import { readEndpoints } from './endpoints.ts';
import { decodeMessage, encodeMessage, unaryResponse } from './grpc/messages.ts';
import type { CallParts } from './grpc/open-call.ts';
import { createRequestHeaders } from './grpc/request-header.ts';
import { toHeaders } from './grpc/status.ts';
import { callStreaming } from './grpc/streaming-call.ts';
import { callUnary } from './grpc/unary-call.ts';
import { fromGrpc } from './grpc-errors.ts';
import { sharedAuthority } from './http2/backends.ts';
import { createChannel } from './http2/channel.ts';
import type { StreamSource } from './http2/stream-source.ts';
import { isRepeatable } from './repeatable.ts';
import { createRetryBudget } from './retry-budget.ts';
import type { TransportOptions, UpstreamTransport } from './transport.ts';

/** What a server may send on one stream before it is read. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 1_000;
/** Bound of the question whether a server is well that is left out. */
const TRIAL_MS = 3_000;
const NEVER = new AbortController().signal;

type Call = Parameters<Transport['unary']>;
type Method = Call[0] | Parameters<Transport['stream']>[0];

/**
 * gRPC over our own HTTP/2 client, for unary and server-streaming methods: the calls of one turn of the event loop leave in
 * one write, and what is the same for each call is encoded once. Of several servers, each gets the same share; a call that
 * may be repeated is made once more at another server when the first one says UNAVAILABLE, or is lost, as far as the budget
 * of retries goes. No call is ever at two servers at the same time.
 */
export function createDirectTransport(options: TransportOptions): UpstreamTransport {
  const { endpoint, readMaxBytes, observer, retries = createRetryBudget() } = options;
  const endpoints = readEndpoints(endpoint);
  const channel = createChannel({
    ...options,
    endpoints,
    maxConnections: MAX_CONNECTIONS,
    streamWindowBytes: STREAM_WINDOW_BYTES,
    tryOut: (source) => isWell(over(source)),
  });
  const headers = createRequestHeaders(endpoints[0]!, sharedAuthority(endpoints));
  const startSpans = options.tracing && createCallSpans(options.tracing, endpoint);

  function prepare(source: StreamSource, method: Method, call: Call, again?: CallParts['again']): CallParts {
    const [, signal, timeoutMs, metadata, input] = call;
    if (timeoutMs !== undefined && timeoutMs < 1) {
      throw new ConnectError('the operation timed out', Code.DeadlineExceeded);
    }
    const header = headers.encode(method, timeoutMs, metadata);
    return { source, header, body: encodeMessage(method.input, input), signal, timeoutMs, retries, again };
  }

  /** How the call is made again, if it may be. Only its first failure asks. */
  function repeat(method: Method, call: Call, spans: CallSpans | undefined): CallParts['again'] {
    return (error, target, timeLeftMs) => {
      const [, signal = NEVER, , , input] = call;
      if (signal.aborted || (timeLeftMs !== undefined && timeLeftMs < 1)) return undefined;
      if (!isRepeatable(method, input) || fromGrpc(error, signal).code !== 'UNAVAILABLE') return undefined;
      const source = target.elsewhere();
      if (!source || !retries.take()) return undefined;
      observer?.onRetry(method.name);
      const later = call.with(2, timeLeftMs) as Call;
      return prepare(source, method, spans ? (later.with(3, spans.again(error)) as Call) : later);
    };
  }

  function over(source: StreamSource, mayRepeat = false): Pick<UpstreamTransport, 'unary' | 'unaryBytes' | 'stream'> {
    const make = (call: Call, spans?: CallSpans) => {
      retries.deposit();
      const again = mayRepeat && channel.hasChoice() ? repeat(call[0], call, spans) : undefined;
      return callUnary(prepare(source, call[0], call, again), readMaxBytes);
    };
    const ask = (call: Call) => {
      const spans = startSpans?.(call[0], call[3]);
      return spans ? spans.cover(make(call.with(3, spans.metadata) as Call, spans)) : make(call);
    };
    return {
      async unary(...call) {
        return unaryResponse(call[0], await ask(call as never));
      },

      async unaryBytes(...call) {
        return (await ask(call)).message;
      },

      async stream(...call) {
        const [method, , , , inputs] = call;
        if (method.methodKind !== 'server_streaming') {
          throw new ConnectError(`${method.name} sends a stream, which this transport cannot`, Code.Unimplemented);
        }
        const first = await inputs[Symbol.asyncIterator]().next();
        if (first.done) throw new ConnectError(`${method.name} is called without a message`, Code.InvalidArgument);
        const spans = startSpans?.(method, call[3]);
        const single = (spans ? call.with(3, spans.metadata) : call).with(4, first.value) as never;
        const again = mayRepeat && channel.hasChoice() ? repeat(method, single, spans) : undefined;
        retries.deposit();
        const opening = callStreaming(prepare(source, method, single, again), readMaxBytes);
        const { header, messages, trailer } = await (spans ? spans.open(opening) : opening);
        return {
          stream: true,
          service: method.parent,
          method,
          header: toHeaders(header),
          get trailer() {
            return toHeaders(trailer());
          },
          message: decodeAll(spans?.watch(messages) ?? messages, (bytes) => decodeMessage(method.output, bytes)),
        };
      },
    };
  }

  return {
    ...over(channel, true),
    each: () => channel.each().map(({ address, source }) => ({ address, transport: over(source) })),
    close: () => channel.close(),
  };
}

/** One that has no health service is well until it proves otherwise. */
async function isWell(transport: Transport): Promise<boolean> {
  try {
    const { status } = await createClient(Health, transport).check({}, { timeoutMs: TRIAL_MS });
    return status === ServingStatus.SERVING;
  } catch (error) {
    return ConnectError.from(error).code === Code.Unimplemented;
  }
}

async function* decodeAll<Message>(pieces: AsyncIterable<Uint8Array>, decode: (bytes: Uint8Array) => Message) {
  for await (const piece of pieces) yield decode(piece);
}
