import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { requestHeader } from '@connectrpc/connect/protocol-grpc';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { encodeMessage, unaryResponse } from './grpc/messages.ts';
import { fromStreamError } from './grpc/status.ts';
import { createUnaryAnswer, type UnaryAnswer } from './grpc/unary-answer.ts';
import { StreamError } from './http2/errors.ts';
import type { Fields } from './http2/header-blocks.ts';
import { createSessionPool } from './session-pool.ts';
import type { TransportOptions, UpstreamTransport } from './transport.ts';

/** Unary calls straight on the streams of node:http2; all else by connect-node's gRPC transport, on the same connections. */
export function createSessionTransport({
  endpoint,
  keepaliveMs,
  readMaxBytes,
  secureContext,
}: TransportOptions): UpstreamTransport {
  const sessions = createSessionPool(endpoint, { pingIntervalMs: keepaliveMs }, secureContext);
  const stock = createGrpcTransport({
    baseUrl: endpoint,
    sessionManager: sessions,
    readMaxBytes,
    acceptCompression: [],
  });
  const basePath = new URL(endpoint).pathname.replace(/\/$/, '');

  async function ask([method, signal, timeoutMs, metadata, input]: Parameters<
    Transport['unary']
  >): Promise<UnaryAnswer> {
    const body = encodeMessage(method.input, input);
    const path = `${basePath}/${method.parent.typeName}/${method.name}`;
    const ended = AbortSignal.any([
      ...(signal ? [signal] : []),
      ...(timeoutMs === undefined ? [] : [AbortSignal.timeout(timeoutMs)]),
    ]);
    const header = Object.fromEntries(requestHeader(true, timeoutMs, metadata));
    const stream = await untilEnded(sessions.request('POST', path, header, {}), ended).catch((error) => {
      throw ended.aborted ? endedBy(ended.reason, signal) : lost(error);
    });
    return new Promise((resolve, reject) => {
      const answer = createUnaryAnswer(readMaxBytes);
      let hasHeader = false;
      let trailer: Fields = [];

      const fail = (error: unknown) => {
        ended.removeEventListener('abort', onEnded);
        stream.close(constants.NGHTTP2_CANCEL);
        reject(error);
      };
      const onEnded = () => fail(endedBy(ended.reason, signal));
      const check = (step: () => void) => {
        try {
          step();
        } catch (error) {
          fail(error);
        }
      };
      ended.addEventListener('abort', onEnded, { once: true });
      if (ended.aborted) onEnded();
      stream.on('response', (fields) => {
        hasHeader = true;
        answer.header(listFields(fields));
      });
      stream.on('trailers', (fields) => {
        trailer = listFields(fields);
      });
      stream.on('data', (piece: Buffer) => {
        sessions.notifyResponseByteRead(stream);
        check(() => answer.data(piece));
      });
      stream.on('end', () => {
        // Reset, which is told by the next event.
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || !hasHeader) return;
        check(() => {
          resolve(answer.end(trailer));
          ended.removeEventListener('abort', onEnded);
        });
      });
      stream.on('error', (error) => fail(lost(error, stream.rstCode)));
      stream.on('close', () => fail(lost(new Error('the stream was closed'), stream.rstCode)));
      stream.end(body);
    });
  }

  return {
    stream: stock.stream.bind(stock),
    unary: async (...call) => unaryResponse(call[0], await ask(call as never)),
    unaryBytes: async (...call) => (await ask(call)).message,
    close: () => sessions.abort(),
  };
}

/** A connection may be opened for longer than a call has time: a stream that comes too late is closed. */
function untilEnded(asked: Promise<ClientHttp2Stream>, ended: AbortSignal): Promise<ClientHttp2Stream> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      reject(ended.reason);
      asked.then(
        (stream) => stream.close(constants.NGHTTP2_CANCEL),
        () => undefined,
      );
    };
    if (ended.aborted) leave();
    else ended.addEventListener('abort', leave, { once: true });
    asked.then(resolve, reject).finally(() => ended.removeEventListener('abort', leave));
  });
}

function endedBy(reason: unknown, signal: AbortSignal | undefined): ConnectError {
  if (reason === signal?.reason) return ConnectError.from(reason, Code.Canceled);
  return new ConnectError('the operation timed out', Code.DeadlineExceeded);
}

/** A stream that node:http2 has ended. Without a code of the server's own it was the connection. */
function lost(cause: unknown, rstCode: number = constants.NGHTTP2_NO_ERROR): ConnectError {
  if (cause instanceof ConnectError) return cause;
  const isReset =
    (cause as { code?: string }).code === 'ERR_HTTP2_STREAM_ERROR' && rstCode !== constants.NGHTTP2_NO_ERROR;
  return fromStreamError(new StreamError((cause as Error).message, { ...(isReset && { code: rstCode }), cause }));
}

function listFields(headers: IncomingHttpHeaders): Fields {
  return Object.entries(headers).flatMap(([name, value]) => [name, String(value)]);
}
