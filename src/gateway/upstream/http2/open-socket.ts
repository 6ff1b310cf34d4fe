import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';

/**
 * Silence after which TCP asks whether the peer is there, 10 times, a second apart: a host that vanished without a word is
 * noticed within 25 s. HTTP/2's own pings would do the same, but many gRPC servers hang up on more than one in 5 minutes.
 */
const TCP_KEEPALIVE_MS = 15_000;
/** RFC 7301's name of HTTP/2 over TLS. */
const ALPN_HTTP2 = 'h2';

/** Where a server is reached. */
export interface Address {
  /** An IP address. */
  readonly host: string;
  readonly port: number;
  /** The name in its certificate; undefined: without TLS. */
  readonly tlsName: string | undefined;
  /** What requests to it are addressed to: host and port as in the URL. */
  readonly authority: string;
}

interface SocketOptions {
  readonly timeoutMs: number;
  /** Asked with each connection, for what it may change; undefined: the usual authorities, and no certificate of ours. */
  readonly secureContext: (() => SecureContext) | undefined;
  readonly signal: AbortSignal;
}

/**
 * A connected socket on which HTTP/2 may begin; over TLS the server has agreed to that. Rejects after `timeoutMs`, with
 * the reason of the system, or when `signal` says so.
 */
export function openSocket(address: Address, { timeoutMs, secureContext, signal }: SocketOptions) {
  return new Promise<Socket>((resolve, reject) => {
    const { host, port, tlsName } = address;
    const tcp = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS };
    const socket =
      tlsName === undefined
        ? connectTcp(tcp)
        : connectTls({
            ...tcp,
            ALPNProtocols: [ALPN_HTTP2],
            ...(isIP(tlsName) === 0 && { servername: tlsName }),
            ...(secureContext && { secureContext: secureContext() }),
            // Also when the environment says otherwise.
            rejectUnauthorized: true,
          });
    const stop = () => fail(new Error('closed by us'));
    const fail = (error: Error) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    const hangUp = () => fail(new Error('the server hung up before the connection was made'));
    signal.addEventListener('abort', stop);
    // An error that nobody hears would end the process.
    socket.on('error', () => undefined);
    socket.once('error', fail);
    socket.once('close', hangUp);
    socket.once(tlsName === undefined ? 'connect' : 'secureConnect', () => {
      if ('alpnProtocol' in socket && socket.alpnProtocol !== ALPN_HTTP2) {
        fail(new Error('the server does not offer HTTP/2 over TLS (ALPN h2)'));
        return;
      }
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.off('error', fail);
      socket.off('close', hangUp);
      resolve(socket);
    });
  });
}
