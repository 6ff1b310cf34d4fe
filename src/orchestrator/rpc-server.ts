import { createServer, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Session } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, type ConnectRouter, type Interceptor } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { listen } from '../shared/listen.ts';
import type { Address } from '../shared/settings.ts';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const MAX_SESSION_MEMORY_MB = 256;

export interface RpcServer {
  readonly port: number;
  /** Takes no more calls; cuts off what has not ended after `graceMs`. */
  readonly close: (graceMs: number) => Promise<void>;
}

/** A gRPC server over plaintext HTTP/2. Throws StartupError when it cannot listen. */
export async function startRpcServer(
  address: Address,
  routes: (router: ConnectRouter) => void,
  interceptors: Interceptor[],
): Promise<RpcServer> {
  const handler = connectNodeAdapter({
    routes,
    interceptors,
    grpc: true,
    grpcWeb: false,
    connect: false,
    readMaxBytes: MAX_MESSAGE_BYTES,
    fallback: (request, response) => refuseUnknown(request as Http2ServerRequest, response as Http2ServerResponse),
  });
  // Many event streams share one connection.
  const server = createServer({ maxSessionMemory: MAX_SESSION_MEMORY_MB }, handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    // A peer that breaks the connection is no concern of the program.
    session.on('error', () => {});
  });
  server.on('sessionError', () => {});
  const port = await listen(server, address);

  async function close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const session of sessions) session.close();
    await Promise.race([closed, sleep(graceMs, undefined, { ref: false })]);
    for (const session of sessions) session.destroy();
    await closed;
  }
  return { port, close };
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
