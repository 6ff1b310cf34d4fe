import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { announcesBody } from '../wire/request-body.ts';
import type { Chunks } from './counted-message.ts';

/** How long, and how much, is still read after the last answer, in milliseconds and bytes. */
const LINGER_MS = 5_000;
const LINGER_BYTES = 64 * 1024 * 1024;
/** What is dropped in one piece, and between two of them, in bytes and milliseconds: some 12 MB a second. */
const DROP_BYTES = 65_536;
const DROP_PAUSE_MS = 5;

/** `HTTPParser.kOnBody`: the name of what Node's parser calls with each piece of a body. */
const ON_BODY = 3;

interface Parser {
  onIncoming?: () => number;
  [ON_BODY]?: (() => void) | undefined;
}

/** What libuv tells of a socket: how many bytes it was given, and how many of them the system has not taken. */
export interface Handle {
  readonly bytesWritten: number;
  readonly writeQueueSize: number;
}

/** One connection, and what is under way on it. */
export interface Connection extends Chunks {
  /** As it was accepted: with TLS, what is beneath `stream`. */
  readonly socket: Socket;
  readonly handle: Handle;
  /** What it is counted by; undefined for a trusted proxy. */
  readonly network: string | undefined;
  /** What HTTP/1.1 is spoken on. */
  stream: Socket;
  /** Requests that have come, and those that are being answered: of HTTP/1.1 it is one. */
  requests: number;
  underWay: number;
  /** The answer to that one, those behind it, and the last of them all. */
  current: ServerResponse | undefined;
  readonly waiting: ServerResponse[];
  latest: ServerResponse | undefined;
  /** Since when it has had no request under way, on the clock of `performance.now`. */
  idleSinceMs: number;
  /** Whatever comes from now on is not answered. */
  isLast: boolean;
  /** Nothing that comes is parsed any more. */
  isDeaf: boolean;
  /** Answers what was no request, once all that came before it is answered. */
  answerFault: (() => void) | undefined;
  /** The bytes that the system has taken, and how often it was seen since that it takes nothing of what waits. */
  taken: number;
  stalls: number;
  /** Until when, and up to which byte, it is read after the last answer; undefined before. */
  linger: { readonly untilMs: number; readonly bytes: number; seenBytes: number } | undefined;
}

export function createConnection(socket: Socket, handle: Handle, network: string | undefined): Connection {
  return {
    socket,
    handle,
    network,
    stream: socket,
    requests: 0,
    underWay: 0,
    current: undefined,
    waiting: [],
    latest: undefined,
    chunks: 0,
    chunkBytes: 0,
    tinyRuns: 0,
    isHeld: false,
    idleSinceMs: 0,
    isLast: false,
    isDeaf: false,
    answerFault: undefined,
    taken: 0,
    stalls: 0,
    linger: undefined,
  };
}

/** Nothing more is read while a body waits with its request: of each there would be 64 KiB, in chunks of a byte 12 MB. */
export function mayRead({ waiting }: Connection): boolean {
  return !waiting.some(({ req }) => announcesBody(req));
}

/** Reads on, and drops what comes: whoever sends is not held up by it, and can hear the answer. */
export function stopParsing(connection: Connection): void {
  connection.isLast = true;
  if (connection.isDeaf) return;
  connection.isDeaf = true;
  const { stream } = connection;
  // Node parses the whole of what it has read, which can be thousands of requests: 2 is its word for an upgrade, behind which
  // its parser stops.
  const { parser } = stream as { parser?: Parser | null };
  if (parser) {
    parser.onIncoming = () => 2;
    // Over TLS a connection whose handshake ends in this turn could have this parser next, and lose what has come with it.
    if (stream === connection.socket) muteBody(parser);
  }
  stream.removeAllListeners('data');
  // Node hands the bytes to us rather than to its parser as soon as somebody listens.
  stream.on('data', createDrop());
  // While its parser had paused the socket, nobody asks the system for more: nothing was awaited from it.
  if (stream.readable) stream.push('');
  stream.resume();
}

/** Nothing is handed on of the body that its parser is in: that is most of what a small chunk costs. */
function muteBody(parser: Parser): void {
  const onBody = parser[ON_BODY];
  if (!onBody) return;
  parser[ON_BODY] = undefined;
  // What has been read is parsed by then; and another connection may have this parser next.
  setImmediate(() => {
    parser[ON_BODY] = onBody;
  });
}

/**
 * Closes it when all is written. If it were closed while its client still sends, the client's system would answer that with
 * a reset, and throw away what it has not read yet: so for a while the rest is read and dropped.
 */
export function closeGently(connection: Connection): void {
  const { stream, latest } = connection;
  connection.isLast = true;
  if (!connection.isDeaf && latest?.req.complete !== false) {
    Socket.prototype.destroySoon.call(stream);
    return;
  }
  const bytes = stream.bytesRead + LINGER_BYTES;
  connection.linger ??= { untilMs: performance.now() + LINGER_MS, bytes, seenBytes: -1 };
  stopParsing(connection);
  // Nothing can be read from a TLS socket whose end was announced.
  if (stream === connection.socket) stream.end();
}

/** To be asked now and then: closes it when its client has had its time after the last answer. */
export function endLinger({ linger, socket, stream }: Connection, nowMs: number): void {
  if (!linger) return;
  if (nowMs > linger.untilMs || stream.bytesRead > linger.bytes) socket.destroy();
  else if (stream === socket) return;
  else if (stream.bytesRead === linger.seenBytes) Socket.prototype.destroySoon.call(stream);
  else linger.seenBytes = stream.bytesRead;
}

/** A piece at a time: whoever pours in what nobody wants must not have all of the time that there is. */
function createDrop(): (this: Socket, chunk: Buffer) => void {
  let bytes = 0;
  return function drop({ length }) {
    bytes += length;
    if (bytes < DROP_BYTES) return;
    bytes = 0;
    this.pause();
    setTimeout(() => this.resume(), DROP_PAUSE_MS).unref();
  };
}
