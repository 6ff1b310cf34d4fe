import { createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import {
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  encodeBinaryHeader,
  type HandlerContext,
} from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type CallFacts, createConformanceService, SENT_HEADER, SENT_TRAILER } from './conformance-service.ts';
import type { GrpcServer, GrpcServerOptions } from './grpc-servers.ts';

const PEER = createContextKey('');
const ANY_STREAM = 2 ** 31 - 1;
/** Between the announcement that a connection will be closed and its closing: more than a round trip. */
const NOTICE_MS = 20;

/** The conformance service on connect-node's own server. */
export async function startConnectServer({ port = 0, maxStreams, maxAgeMs }: GrpcServerOptions): Promise<GrpcServer> {
  const router = createConnectRouter();
  serveConformance(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const settings = maxStreams === undefined ? {} : { maxConcurrentStreams: maxStreams };
  const server = createServer({ maxSessionMemory: 256, settings }, (request, response) => {
    const peer = `${request.socket.remoteAddress}:${request.socket.remotePort}`;
    const values = createContextValues().set(PEER, peer);
    // What a handler throws is part of the answer. Only a connection that broke is thrown here, as tests want it to.
    handlers.get(request.url)!(universalRequestFromNodeRequest(request, response, undefined, values))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch(() => {});
  });
  if (maxAgeMs !== undefined) server.on('session', (session) => leaveAfter(session, maxAgeMs));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('sessionError', () => {});
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function serveConformance(router: ConnectRouter): void {
  const service = createConformanceService();
  router.service(OrchestratorService, {
    async getWorkflow({ workflowId }, context) {
      sendMetadata(service.wantsMetadata(workflowId), context);
      const { id, labels } = await service.unary(workflowId, factsOf(context));
      return { id, ...(Object.keys(labels).length > 0 && { spec: { labels } }) };
    },
    async *streamWorkflowEvents({ workflowId }, context) {
      sendMetadata(service.wantsMetadata(workflowId), context);
      yield* service.stream(workflowId, factsOf(context));
    },
  });
}

/** RFC 9113, section 6.8: first a GOAWAY that still takes every stream, then one that names the last one taken. */
function leaveAfter(session: ServerHttp2Session, maxAgeMs: number): void {
  const notice = setTimeout(() => session.goaway(0, ANY_STREAM), maxAgeMs);
  const close = setTimeout(() => session.close(), maxAgeMs + NOTICE_MS);
  session.once('close', () => {
    clearTimeout(notice);
    clearTimeout(close);
  });
}

function sendMetadata(isWanted: boolean, { responseHeader, responseTrailer }: HandlerContext): void {
  if (!isWanted) return;
  responseHeader.set('x-head', SENT_HEADER.text);
  responseHeader.set('x-head-bin', encodeBinaryHeader(SENT_HEADER.bytes));
  responseTrailer.set('x-tail', SENT_TRAILER.text);
  responseTrailer.set('x-tail-bin', encodeBinaryHeader(SENT_TRAILER.bytes));
}

function factsOf({ signal, values, timeoutMs, requestHeader }: HandlerContext): CallFacts {
  return { signal, peer: values.get(PEER), timeLeftMs: timeoutMs(), metadata: requestHeader };
}
