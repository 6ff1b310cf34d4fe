import {
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';

const ACCEPT_WORKFLOW = '/foldforge.orchestrator.v1.OrchestratorService/AcceptWorkflow';
const UNIMPLEMENTED = '12';

/**
 * An orchestrator that does not know AcceptWorkflow: an HTTP/2 proxy in front of one that does. `port` is where that
 * listens. A connection to this one is lost when the one behind it is.
 */
export async function startWithoutAccept(port: number) {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on('session', (near) => {
    sessions.add(near);
    const far = connect(`http://127.0.0.1:${port}`);
    far.on('error', () => {}).on('close', () => near.destroy());
    near
      .on('error', () => {})
      .on('close', () => {
        sessions.delete(near);
        far.destroy();
      });
    near.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      if (headers[':path'] === ACCEPT_WORKFLOW) refuse(stream);
      else if (far.destroyed || far.closed) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else passOn(stream, far.request(headers, { endStream: false }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    close(): Promise<void> {
      for (const session of sessions) session.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function refuse(stream: ServerHttp2Stream): void {
  stream.resume();
  const status = { ':status': 200, 'content-type': 'application/grpc+proto', 'grpc-status': UNIMPLEMENTED };
  stream.respond(status, { endStream: true });
}

function passOn(near: ServerHttp2Stream, far: ClientHttp2Stream): void {
  let trailers: IncomingHttpHeaders = {};
  near.pipe(far);
  far.on('error', () => {});
  far.on('response', (headers, flags) => {
    if (near.destroyed) return;
    const isOver = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    near.respond(headers, isOver ? { endStream: true } : { waitForTrailers: true });
    if (!isOver) far.pipe(near);
  });
  far.on('trailers', (headers) => {
    trailers = headers;
  });
  near.on('wantTrailers', () => near.sendTrailers(trailers));
  far.on('close', () => {
    if (far.rstCode !== constants.NGHTTP2_NO_ERROR) near.close(far.rstCode);
  });
  near.on('close', () => {
    if (!far.closed) far.close(constants.NGHTTP2_CANCEL);
  });
}
