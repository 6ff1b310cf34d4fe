import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { decodeMessage, encodeMessage, unaryResponse } from './grpc/messages.ts';
import type { CallParts } from './grpc/open-call.ts';
import { createRequestHeaders } from './grpc/request-header.ts';
import { toHeaders } from './grpc/status.ts';
import { callStreaming } from './grpc/streaming-call.ts';
import { callUnary } from './grpc/unary-call.ts';
import { createChannel } from './http2/channel.ts';
import type { TransportOptions, UpstreamTransport } from './transport.ts';

/** What a server may send on one stream before it is read. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 1_000;

type Call = Parameters<Transport['unary']>;

/**
 * gRPC over our own HTTP/2 client, for unary and server-streaming methods: the calls of one turn of the event loop leave in
 * one write, and what is the same for each call is encoded once.
 */
export function createDirectTransport({
  endpoint,
  keepaliveMs,
  readMaxBytes,
  ca,
}: TransportOptions): UpstreamTransport {
  const url = new URL(endpoint);
  const channel = createChannel({
    endpoints: [url],
    maxConnections: MAX_CONNECTIONS,
    streamWindowBytes: STREAM_WINDOW_BYTES,
    keepaliveMs,
    ca,
  });
  const headers = createRequestHeaders(url);

  function prepare(method: Call[0] | Parameters<Transport['stream']>[0], call: Call): CallParts {
    const [, signal, timeoutMs, metadata, input] = call;
    if (timeoutMs !== undefined && timeoutMs <= 0) {
      throw new ConnectError('the operation timed out', Code.DeadlineExceeded);
    }
    const header = headers.encode(method, timeoutMs, metadata);
    return { channel, header, body: encodeMessage(method.input, input), signal, timeoutMs };
  }

  return {
    async unary(...call) {
      const [method] = call;
      return unaryResponse(method, await callUnary(prepare(method, call as never), readMaxBytes));
    },

    async unaryBytes(...call) {
      return (await callUnary(prepare(call[0], call), readMaxBytes)).message;
    },

    async stream(...call) {
      const [method, , , , inputs] = call;
      if (method.methodKind !== 'server_streaming') {
        throw new ConnectError(`${method.name} sends a stream, which this transport cannot`, Code.Unimplemented);
      }
      const first = await inputs[Symbol.asyncIterator]().next();
      if (first.done) throw new ConnectError(`${method.name} is called without a message`, Code.InvalidArgument);
      const parts = prepare(method, call.with(4, first.value) as never);
      const { header, messages, trailer } = await callStreaming(parts, readMaxBytes);
      return {
        stream: true,
        service: method.parent,
        method,
        header: toHeaders(header),
        get trailer() {
          return toHeaders(trailer());
        },
        message: decodeAll(messages, (bytes) => decodeMessage(method.output, bytes)),
      };
    },

    close: () => channel.close(),
  };
}

async function* decodeAll<Message>(pieces: AsyncIterable<Uint8Array>, decode: (bytes: Uint8Array) => Message) {
  for await (const piece of pieces) yield decode(piece);
}
