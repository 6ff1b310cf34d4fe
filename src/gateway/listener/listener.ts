import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { GatewayConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { ClientAddress } from '../wire/client-address.ts';
import type { Connection } from './connection.ts';
import { createConnections } from './connections.ts';
import { createConversation } from './conversation.ts';
import { KEEP_ALIVE_MARGIN_MS } from './limits.ts';
import type { ParserError } from './parser-errors.ts';
import type { Refusals } from './refusals.ts';
import { createScreenRequest } from './screen-request.ts';
import { createSlowLane } from './slow-lane.ts';

export interface ListenerParts {
  readonly config: GatewayConfig;
  readonly clientAddress: Pick<ClientAddress, 'isTrusted'>;
  readonly refusals: Refusals;
  readonly metrics: Pick<Metrics, 'connections' | 'connectionRefusals' | 'connectionCuts'>;
  /** What answers a request that is in order, over HTTP/1.1 and over HTTP/2. */
  readonly answer: RequestListener;
  readonly answerStream: RequestListener;
}

type Peer = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress'>;

/** Stands between TCP and the app: what it lets through is one well-formed request, on a connection that is within the limits. */
export function createListener({ config, clientAddress, refusals, metrics, answer, answerStream }: ListenerParts) {
  const limits = {
    headBytes: config.HEADER_LIMIT_BYTES,
    headerCount: config.HEADER_LIMIT_COUNT,
    urlBytes: config.URL_LIMIT_BYTES,
  };
  const screen = createScreenRequest({ allowedHosts: config.ALLOWED_HOSTS, ...limits });
  const connections = createConnections({
    max: config.CONNECTIONS_MAX,
    maxPerAddress: config.CONNECTIONS_MAX_PER_ADDRESS,
    sendTimeoutMs: config.SEND_TIMEOUT_SECONDS,
    // With the time of a head that was begun at the last moment.
    idleTimeoutMs: config.IDLE_TIMEOUT_SECONDS + KEEP_ALIVE_MARGIN_MS + config.HEADER_TIMEOUT_SECONDS,
    isTrusted: clientAddress.isTrusted,
    metrics,
  });
  const slowLane = createSlowLane(connections.newOnesOf);
  const conversation = createConversation({
    connections,
    slowLane,
    screen,
    refusals,
    answer,
    maxRequests: config.CONNECTION_MAX_REQUESTS,
    limits,
  });
  /** Those beneath TLS, by the addresses of both ends: nothing else is known of them above it. */
  const byPeer = new Map<string, Connection>();
  const bySession = new WeakMap<object, Connection>();

  function admitBeneathTls(socket: Socket): Connection | undefined {
    const connection = connections.admit(socket);
    if (!connection) return undefined;
    const peer = nameOf(socket);
    byPeer.set(peer, connection);
    socket.on('close', () => {
      if (byPeer.get(peer) === connection) byPeer.delete(peer);
    });
    return connection;
  }

  function adopt(stream: TLSSocket): void {
    const connection = byPeer.get(nameOf(stream));
    if (connection && stream.alpnProtocol !== 'h2') connections.adopt(connection, stream);
  }

  function onStream(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const connection = connectionOf(incoming as unknown as Http2ServerRequest);
    if (connection) {
      connection.requests++;
      connections.begin(connection);
      outgoing.on('close', () => connections.end(connection));
    }
    const error = screen(incoming);
    if (error) refusals.refuseRequest(incoming, outgoing, error);
    else answerStream(incoming, outgoing);
  }

  function connectionOf({ stream: { session } }: Http2ServerRequest): Connection | undefined {
    if (!session) return undefined;
    const connection = bySession.get(session) ?? byPeer.get(nameOf(session.socket));
    if (connection) bySession.set(session, connection);
    return connection;
  }

  function onHttp1(socket: Socket): void {
    const connection = connections.find(socket);
    if (connection) slowLane.enter(connection);
  }

  function onConnect(incoming: IncomingMessage, socket: Socket): void {
    const connection = connections.find(socket);
    // Node no longer tends it: not its errors, which would end the process, nor what is being answered on it.
    socket.on('error', () => {});
    if (!connection || connection.current || connection.isLast) return void socket.destroy();
    conversation.fail(connection, new GatewayError('INVALID_ARGUMENT', `${incoming.method} is for proxies`));
  }

  function onClientError(error: ParserError, socket: Socket): void {
    const connection = connections.find(socket);
    if (connection) conversation.onFault(error, connection);
    else socket.destroy();
  }

  return {
    onRequest: conversation.take,
    onStream,

    /** Before the server is opened. */
    attach(server: Server): void {
      // One more than may be: there were versions of Node that left out the others without a word.
      server.maxHeadersCount = limits.headerCount + 1;
      const isTls = 'setSecureContext' in server;
      const admit = isTls ? admitBeneathTls : connections.admit;
      // Node's own: what it sets up for a connection is most of what one costs that is refused, or has left already.
      const [serve] = server.listeners('connection') as ((socket: Socket) => void)[];
      server.removeAllListeners('connection');
      server.on('connection', (socket: Socket) => {
        if (admit(socket)) serve!.call(server, socket);
      });
      if (isTls) server.prependListener('secureConnection', adopt);
      server.on(isTls ? 'secureConnection' : 'connection', onHttp1);
      // Who reads the body says that it may come.
      server.on('checkContinue', conversation.take);
      server.on('checkExpectation', conversation.take);
      server.on('clientError', onClientError);
      server.on('connect', onConnect);
    },

    close: connections.close,
  };
}

/** A client may come from one port to several addresses of ours. */
function nameOf({ remoteAddress, remotePort, localAddress }: Peer): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
