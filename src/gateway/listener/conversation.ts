import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { GatewayError } from '../errors.ts';
import { breakBody } from '../middleware/broken-body.ts';
import { announcesBody } from '../wire/request-body.ts';
import { type Connection, mayRead, stopParsing } from './connection.ts';
import type { Connections } from './connections.ts';
import { CountedMessage, SMALL_CHUNKS } from './counted-message.ts';
import { type HeadLimits, type ParserError, readParserError } from './parser-errors.ts';
import type { Refusals } from './refusals.ts';
import type { SlowLane } from './slow-lane.ts';

/** As the parser would say it. */
const TOO_MANY_CHUNKS: ParserError = Object.assign(new Error('tiny chunks'), {
  code: 'HPE_TINY_CHUNKS',
  reason: 'Too many chunks of a few bytes',
});
/** Requests of one connection that may wait for the one that is being answered. */
const MAX_WAITING = 16;

interface ConversationParts {
  readonly connections: Pick<Connections, 'find' | 'begin' | 'end' | 'leave' | 'cut'>;
  readonly slowLane: Pick<SlowLane, 'send' | 'shun'>;
  readonly screen: (incoming: IncomingMessage) => GatewayError | undefined;
  readonly refusals: Refusals;
  readonly answer: RequestListener;
  /** Requests on one connection, after which it is closed. */
  readonly maxRequests: number;
  readonly limits: HeadLimits;
}

/**
 * The order of things on a connection of HTTP/1.1. Requests are answered one after the other (RFC 9112, section 9.3.2; Node
 * alone begins with all at once), so that nothing has been done for what comes behind the last answer: that of a request that
 * was refused for its form, of one with `Connection: close`, or of one too many.
 */
export function createConversation(parts: ConversationParts) {
  const { connections, slowLane, screen, refusals, answer, maxRequests, limits } = parts;

  function begin(connection: Connection, outgoing: ServerResponse): void {
    connection.current = outgoing;
    connections.begin(connection);
    outgoing.on('close', onAnswered);
    const { req } = outgoing;
    const error = screen(req);
    if (!error) return void answer(req, outgoing);
    connection.waiting.length = 0;
    stopParsing(connection);
    outgoing.shouldKeepAlive = false;
    refusals.refuseRequest(req, outgoing, error);
  }

  function wait(connection: Connection, outgoing: ServerResponse): void {
    connection.waiting.push(outgoing);
    if (!mayRead(connection)) connection.stream.pause();
  }

  /** In a turn of the event loop of its own: many requests in one piece must not hold up those of others. */
  function beginLater(connection: Connection, outgoing: ServerResponse): void {
    connection.current = outgoing;
    setImmediate(() => {
      if (connection.stream.writable) begin(connection, outgoing);
    });
  }

  // One function for all, not one more for each of thousands of requests.
  function onAnswered(this: ServerResponse): void {
    const { req } = this;
    const connection = connections.find(req.socket)!;
    // What is idle, perhaps for long, does not hold on to all that was said on it.
    if (connection.latest === this && req.complete) connection.latest = undefined;
    connections.end(connection);
    // Between the body and what comes behind it in the same packet Node lets everything else run, so that the answer may be
    // over by then: thousands of requests would be answered in one turn.
    if (announcesBody(req)) setImmediate(goOn, connection);
    else goOn(connection);
  }

  function goOn(connection: Connection): void {
    connection.current = undefined;
    // That was the last answer; over TLS it can still be written.
    if (connection.linger || !connection.stream.writable) return;
    const next = connection.waiting.shift();
    if (connection.stream.isPaused() && !connection.isHeld && mayRead(connection)) connection.stream.resume();
    if (next) beginLater(connection, next);
    else if (connection.answerFault) connection.answerFault();
    else if (connection.isLast) connections.leave(connection);
  }

  function fail(connection: Connection, error: GatewayError): void {
    stopParsing(connection);
    if (!connection.stream.writable) return void connection.stream.destroy();
    connection.answerFault = () => {
      connection.stream.write(refusals.renderFault(error, connection.socket.remoteAddress));
      connections.leave(connection);
    };
    if (!connection.current) connection.answerFault();
  }

  /** What comes next on the connection cannot be read, or came too late. */
  function onFault(error: ParserError, connection: Connection): void {
    const { stream, latest } = connection;
    const known = readParserError(error, limits);
    if (known === 'leave') {
      if (error.code === 'HPE_CLOSED_CONNECTION') stopParsing(connection);
      else stream.destroy();
    } else if (latest && !latest.req.complete) {
      // It was to be the rest of this one's body.
      stopParsing(connection);
      if (latest.writableEnded) return void stream.destroy();
      latest.shouldKeepAlive = false;
      breakBody(latest.req, known);
    } else if (connection.isLast) stopParsing(connection);
    else if (stream.bytesRead === 0) connections.cut(connection, 'silent');
    else fail(connection, known);
  }

  function onSmallChunks(this: IncomingMessage, areTooMany: boolean): void {
    const connection = connections.find(this.socket);
    if (!connection || connection.isDeaf) return;
    if (areTooMany) {
      slowLane.shun(connection);
      onFault(TOO_MANY_CHUNKS, connection);
    } else slowLane.send(connection);
  }

  /** Of those that wait their chunks are counted with those before: a packet can have many small bodies. */
  function countChunks(incoming: CountedMessage, connection: Connection): void {
    if (!connection.current) connection.chunks = connection.chunkBytes = connection.tinyRuns = 0;
    incoming.countedBy = connection;
    incoming.on(SMALL_CHUNKS, onSmallChunks);
  }

  return {
    take(incoming: IncomingMessage, outgoing: ServerResponse): void {
      const connection = connections.find(incoming.socket);
      if (!connection) return void incoming.socket.destroy();
      if (connection.isLast) return void stopParsing(connection);
      connection.latest = outgoing;
      connection.requests++;
      if (incoming instanceof CountedMessage) countChunks(incoming, connection);
      if (connection.requests >= maxRequests || connection.waiting.length >= MAX_WAITING) {
        connection.isLast = true;
        outgoing.shouldKeepAlive = false;
      }
      if (connection.current) wait(connection, outgoing);
      else begin(connection, outgoing);
    },

    onFault,

    fail,
  };
}
