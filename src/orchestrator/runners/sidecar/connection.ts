import { type ClientHttp2Session, type ClientHttp2Stream, type ClientSessionOptions, constants } from 'node:http2';
import type { SocketConstructorOpts } from 'node:net';
import type { ConnectionOptions, SecureContext } from 'node:tls';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { createKeepalive, type Keepalive, type KeepaliveTiming } from './keepalive.ts';

export interface ConnectionTiming extends KeepaliveTiming {
  readonly connectMs: number;
}

export interface SidecarConnection {
  readonly transport: Transport;
  /** Breaks what is under way. */
  readonly close: () => void;
}

export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const SESSION_OPTIONS: ClientSessionOptions & SocketConstructorOpts & ConnectionOptions = {
  // Many runs may share one connection.
  maxSessionMemory: 256,
  // After this silence TCP asks whether the peer is there, 10 times, a second apart: no server can mind that, as some do
  // HTTP/2's pings, but it does not reach beyond a proxy. Over TLS it has no effect.
  keepAlive: true,
  keepAliveInitialDelay: 10_000,
  // Also when the environment says otherwise.
  rejectUnauthorized: true,
};

type Request = Parameters<Http2SessionManager['request']>;

/** gRPC to one sidecar, over one connection, which is opened when it is needed and opened anew when it broke. */
export function createSidecarConnection(
  endpoint: string,
  timing: ConnectionTiming,
  secureContext?: () => SecureContext,
): SidecarConnection {
  const options = secureContext
    ? {
        ...SESSION_OPTIONS,
        // Read with each connection.
        get secureContext() {
          return secureContext();
        },
      }
    : SESSION_OPTIONS;
  const manager = new Http2SessionManager(endpoint, {}, options);
  const keepalives = new WeakMap<object, Keepalive>();

  function keepaliveOf(session: ClientHttp2Session): Keepalive {
    const known = keepalives.get(session);
    if (known) return known;
    // The manager stops listening when it has done with a connection, and an error that nobody hears ends the process.
    session.on('error', () => {});
    const keepalive = createKeepalive(session, timing);
    keepalives.set(session, keepalive);
    return keepalive;
  }

  async function request(...asked: Request): Promise<ClientHttp2Stream> {
    // Neither the manager nor Node gives up before TCP does, which is after minutes.
    const timer = setTimeout(() => {
      if (manager.state() !== 'connecting') return;
      manager.abort(new ConnectError(`no connection in ${timing.connectMs} ms`, Code.Unavailable));
    }, timing.connectMs);
    try {
      const stream = await manager.request(...asked);
      if (stream.session) keepaliveOf(stream.session as ClientHttp2Session).watch(stream);
      failWhenDropped(stream);
      return stream;
    } finally {
      clearTimeout(timer);
    }
  }

  const sessionManager = {
    authority: manager.authority,
    request,
    notifyResponseByteRead(stream: ClientHttp2Stream): void {
      manager.notifyResponseByteRead(stream);
      if (stream.session) keepalives.get(stream.session)?.heard();
    },
  };
  const transport = createGrpcTransport({ baseUrl: endpoint, sessionManager, readMaxBytes: MAX_MESSAGE_BYTES });
  return { transport, close: () => manager.abort() };
}

/** Connect waits for ever for the answer to a stream that is reset with NO_ERROR, or closed, before there was one. */
function failWhenDropped(stream: ClientHttp2Stream): void {
  let isAnswered = false;
  stream.once('response', () => {
    isAnswered = true;
  });
  stream.once('close', () => {
    if (isAnswered || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
    stream.emit('error', new ConnectError('the stream was closed without an answer', Code.Unavailable));
  });
}
