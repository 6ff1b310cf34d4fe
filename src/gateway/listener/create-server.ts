import { constants } from 'node:crypto';
import { createServer as createHttpServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { Sessions } from '../../shared/listen.ts';
import { TLS_LIMITS, type TlsMaterial } from '../../shared/tls-files.ts';
import type { TlsWatch } from '../../shared/tls-watch.ts';
import { createHttp2Sessions, type Http2Limits } from './http2-sessions.ts';

interface ServerParts {
  /** The limits of HTTP/1.1, with and without TLS. */
  readonly options: ServerOptions;
  readonly limits: Http2Limits;
  readonly onRequest: RequestListener;
  /** For requests over HTTP/2, whose answers behave as those of node:http. */
  readonly onStream: RequestListener;
  /** Begins to read the certificate, and tells what is new; undefined: without TLS. */
  readonly watch: ((onChange: (material: TlsMaterial) => void) => TlsWatch) | undefined;
}

export interface ListenerServer {
  readonly server: Server;
  /** Those of HTTP/2; undefined without TLS. */
  readonly sessions: Sessions | undefined;
  /** Lets go of the files of the certificate. */
  readonly close: () => void;
}

/** HTTP/1.1; over TLS also HTTP/2, for clients that offer it (RFC 7301). Throws a StartupError. */
export function createServer({ options, limits, watch, ...parts }: ServerParts): ListenerServer {
  if (!watch) return { server: createHttpServer(options, parts.onRequest), sessions: undefined, close: () => {} };
  const files = watch((material) => server.setSecureContext(tlsOptions(material)));
  const server = createHttpsServer(
    {
      ...options,
      ...tlsOptions(files.current()),
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: limits.headerMs,
    },
    parts.onRequest,
  );
  const sessions = createHttp2Sessions(limits, parts.onStream);
  // One server for both, which has all limits of node:http: node:http2's own way to serve HTTP/1.1 has not.
  const [serveHttp1] = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol === 'h2') sessions.take(socket);
    else serveHttp1!.call(server, socket);
  });
  // It is no error of HTTP/1.1: there is nobody to be answered.
  server.removeAllListeners('tlsClientError');
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const close = () => {
    files.close();
    sessions.close();
  };
  return { server, sessions, close };
}

function tlsOptions({ cert, key }: TlsMaterial) {
  // To negotiate anew costs a server much more than a client.
  return { ...TLS_LIMITS, cert: cert!, key: key!, secureOptions: constants.SSL_OP_NO_RENEGOTIATION };
}
