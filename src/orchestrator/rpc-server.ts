import {
  constants,
  createSecureServer,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import { Code, type ConnectRouter, createConnectRouter, type Interceptor } from '@connectrpc/connect';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { listen } from '../shared/listen.ts';
import type { Log } from '../shared/log.ts';
import type { Address } from '../shared/settings.ts';
import { TLS_LIMITS, type TlsFiles, type TlsMaterial } from '../shared/tls-files.ts';
import { watchTlsFiles } from '../shared/tls-watch.ts';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/**
 * Many event streams share one connection; and each client that leaves a gateway is a stream that is reset here. Node's bound on
 * those, 33 a second, is against strangers: it would cut the connection of all other clients.
 */
const SERVER_OPTIONS = { maxSessionMemory: 256, streamResetBurst: 1_000_000, streamResetRate: 1_000_000 };
const HANDSHAKE_MS = 10_000;

export interface RpcServer {
  readonly port: number;
  /** Takes no more calls; cuts off what has not ended after `graceMs`. */
  readonly close: (graceMs: number) => Promise<void>;
}

export interface RpcServerParts {
  readonly address: Address;
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: Interceptor[];
  readonly log: Log;
  /** Undefined: plaintext. With `ca`, clients must show a certificate. */
  readonly tls?: TlsFiles | undefined;
  /** Told when its certificate ends, in milliseconds since 1970. */
  readonly onExpiry?: (endsAtMs: number) => void;
}

/** A gRPC server over HTTP/2. Throws StartupError when it cannot listen, or have its certificate. */
export async function startRpcServer({ address, routes, interceptors, ...parts }: RpcServerParts): Promise<RpcServer> {
  const { log, tls } = parts;
  const onRequest = createRequestHandler(routes, interceptors, log);
  const { server, closeFiles } = tls
    ? createTlsServer(tls, onRequest, parts)
    : { server: createServer(SERVER_OPTIONS, onRequest), closeFiles: () => {} };
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    // A peer that breaks the connection is no concern of the program.
    session.on('error', () => {});
  });
  server.on('sessionError', () => {});
  // A session can be closed while its peer neither reads nor closes: only the socket is certain to end.
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listen(server, address);

  async function close(graceMs: number): Promise<void> {
    closeFiles();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const session of sessions) session.close();
    await Promise.race([closed, sleep(graceMs, undefined, { ref: false })]);
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
    await closed;
  }
  return { port, close };
}

function createTlsServer(
  tls: TlsFiles,
  onRequest: ReturnType<typeof createRequestHandler>,
  { log, onExpiry = () => {} }: Pick<RpcServerParts, 'log' | 'onExpiry'>,
) {
  const onChange = (material: TlsMaterial) => server.setSecureContext(tlsOptions(material));
  const files = watchTlsFiles(tls, { log, onChange, onExpiry });
  const options = { ...SERVER_OPTIONS, ...tlsOptions(files.current()), handshakeTimeout: HANDSHAKE_MS };
  const server = createSecureServer({ ...options, requestCert: tls.ca !== undefined }, onRequest);
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'a client was refused'));
  return { server, closeFiles: files.close };
}

function tlsOptions({ cert, key, ca }: TlsMaterial): SecureContextOptions {
  return { ...TLS_LIMITS, cert: cert!, key: key!, ...(ca !== undefined && { ca }) };
}

/** What connect's own adapter does, but with our log: it writes a stack trace for each client that goes away. */
function createRequestHandler(routes: RpcServerParts['routes'], interceptors: Interceptor[], log: Log) {
  const router = createConnectRouter({
    interceptors,
    grpc: true,
    grpcWeb: false,
    connect: false,
    readMaxBytes: MAX_MESSAGE_BYTES,
    acceptCompression: [compressionGzip, compressionBrotli],
  });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return async (request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> => {
    const handler = handlers.get(request.url);
    if (!handler) return refuseUnknown(request, response);
    try {
      const answer = await handler(universalRequestFromNodeRequest(request, response, undefined, undefined));
      await universalResponseToNodeResponse(answer, response);
    } catch (error) {
      const method = handler.method.name;
      if (request.stream.destroyed) log.debug({ err: error, method }, 'a client went away');
      else {
        log.error({ err: error, method }, 'an answer could not be written');
        request.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      }
    }
  };
}

/** A call that no service here knows is UNIMPLEMENTED, which gRPC says in a header of an otherwise good response. */
function refuseUnknown(request: Http2ServerRequest, response: Http2ServerResponse): void {
  if (request.headers['content-type']?.startsWith('application/grpc')) {
    response.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': String(Code.Unimplemented) });
  } else {
    response.writeHead(404);
  }
  response.end();
}
