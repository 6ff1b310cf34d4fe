import type { RequestListener } from 'node:http';
import {
  constants,
  createServer,
  type Http2ServerRequest,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { GatewayError } from '../errors.ts';
import { breakBody } from '../middleware/broken-body.ts';
import type { Handle } from './connection.ts';
import { countChunk } from './counted-message.ts';
import { Http2Answer } from './http2-answer.ts';

/** Requests of one client at the same time: a page's event streams, and what it asks besides. */
const MAX_STREAMS = 250;
/** Streams that a client may open and reset at once, and in each second from then on (CVE-2023-44487). */
const RESET_BURST = 500;
const RESETS_PER_SECOND = 50;
/** What may wait of all answers on a connection before it takes no more requests, in megabytes: a full buffer of each. */
const MAX_SESSION_MEMORY_MB = 64;
/** Frames that make no sense, and streams beyond the limit, after which a connection is closed. */
const MAX_INVALID_FRAMES = 100;
const MAX_REJECTED_STREAMS = 100;
/** How long a client may take to hang up when there is nothing more to come, in milliseconds. */
const FAREWELL_MS = 5_000;
/** How often it is looked whether the end of an answer has left that waits for its connection, in milliseconds. */
const UNSENT_MS = 50;
/** How often it is looked for answers whose client may take nothing, and for connections that are lost, in milliseconds. */
const SWEEP_MS = 500;
/** Answers, on all connections, of which nothing is taken for a while: each holds some 20 KB, and costs its client 20 bytes. */
const MAX_STALLED = 1_000;

export interface Http2Limits {
  readonly headerBytes: number;
  readonly headerCount: number;
  /** Until the first request. */
  readonly headerMs: number;
  /** For a request with its body. */
  readonly bodyMs: number;
  /** Without a request. */
  readonly idleMs: number;
  /** For which a client may take nothing of an answer. */
  readonly sendMs: number;
  readonly maxRequests: number;
}

/** That of a socket of TLS, and what is beneath it. */
interface TlsHandle extends Handle {
  readonly _parent: Handle;
}

interface SessionWatch {
  /** Tells its client that nothing more is taken. */
  readonly leave: () => void;
  /** To be called now and then. */
  readonly sweep: () => void;
}

export type Http2Sessions = ReturnType<typeof createHttp2Sessions>;

/** HTTP/2 on the connections that it is given. What an honest client does not do, its limits end. */
export function createHttp2Sessions(limits: Http2Limits, onStream: RequestListener) {
  const sessions = new Map<ServerHttp2Session, SessionWatch>();
  const answers = new Set<Http2Answer>();
  let isDraining = false;
  const server = createServer({
    Http2ServerResponse: Http2Answer as never,
    settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: limits.headerBytes, enablePush: false },
    // Some more than may be, so that there is an answer to what is somewhat too much.
    maxHeaderListPairs: 2 * limits.headerCount,
    maxSessionMemory: MAX_SESSION_MEMORY_MB,
    maxSessionInvalidFrames: MAX_INVALID_FRAMES,
    maxSessionRejectedStreams: MAX_REJECTED_STREAMS,
    streamResetBurst: RESET_BURST,
    streamResetRate: RESETS_PER_SECOND,
  });
  // A client that breaks the protocol is no concern of the program.
  server.on('sessionError', () => {});
  server.on('checkExpectation', take);
  // It has no path, so it is refused as any request without one: node:http2's own answer would leave the tunnel open.
  server.on('connect', take);
  server.on('request', take);

  function take(incoming: Http2ServerRequest, outgoing: unknown): void {
    const { headers, authority, stream } = incoming;
    headers.host ??= authority;
    if (authority && headers.host.toLowerCase() !== authority.toLowerCase()) {
      // It is malformed (RFC 9113, section 8.3.1), and a proxy may have gone by the other one.
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    const answer = outgoing as Http2Answer;
    answers.add(answer);
    stream.on('close', () => {
      answers.delete(answer);
      // node:http2 does not tell of the end of an answer to HEAD that has not ended itself.
      answer.end();
    });
    boundBody(incoming, limits.bodyMs);
    stream.once('finish', () => endRequest(stream));
    onStream(incoming as never, outgoing as never);
  }

  function watchSession(session: ServerHttp2Session, socket: TLSSocket): void {
    let open = 0;
    let asked = 0;
    const chunks = { chunks: 0, chunkBytes: 0, tinyRuns: 0 };
    let farewell: NodeJS.Timeout | undefined;
    // node:http2 closes it with its last stream, and then waits for the client to hang up, too.
    const sayFarewell = () => {
      farewell ??= setTimeout(() => socket.destroy(), FAREWELL_MS).unref();
    };
    const leave = () => {
      if (!session.closed && !session.destroyed) session.close();
      // A session that broke waits for its last frame to be sent, for ever where the client has left.
      if (open === 0 || session.destroyed) sayFarewell();
    };
    const leaveIfIdle = () => {
      if (open === 0) leave();
    };
    const first = setTimeout(leaveIfIdle, limits.headerMs).unref();
    const idle = setTimeout(leaveIfIdle, limits.idleMs).unref();
    const onStreamClose = () => {
      open--;
      if (open > 0) return;
      if (session.closed) sayFarewell();
      else idle.refresh();
    };
    session.on('stream', (stream: ServerHttp2Stream) => {
      open++;
      asked++;
      if (asked === 1) clearTimeout(first);
      if (asked >= limits.maxRequests) leave();
      stream.on('close', onStreamClose);
      if (!stream.endAfterHeaders) countData(stream, chunks);
    });
    session.once('close', () => {
      sessions.delete(session);
      clearTimeout(first);
      clearTimeout(idle);
      clearTimeout(farewell);
    });
    const sweep = () => {
      if (session.destroyed) leave();
      destroyIfLost(socket);
    };
    sessions.set(session, { leave, sweep });
    if (isDraining) leave();
  }

  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const session of sessions.values()) session.sweep();
    const stalled = [...answers].filter((answer) => answer.checkStall(nowMs, limits.sendMs) >= SWEEP_MS);
    if (stalled.length > MAX_STALLED) shed(stalled);
  }, SWEEP_MS).unref();

  return {
    take(socket: TLSSocket): void {
      // The session itself does not give its socket away. It is there before `emit` returns.
      server.once('session', (session) => watchSession(session, socket));
      server.emit('connection', socket);
    },

    /** Takes no more requests, and lets those finish that are there. */
    drain(): void {
      isDraining = true;
      for (const { leave } of sessions.values()) leave();
    },

    close: () => clearInterval(sweep),
  };
}

/**
 * To be called now and then. The client has broken the connection when a write fails, and on a socket of TLS that one is under
 * way for ever: Node tells nobody of it, writes nothing more, and for node:http2 reads nothing either until that has gone.
 */
function destroyIfLost(socket: TLSSocket): void {
  const { _handle: tls } = socket as unknown as { readonly _handle: TlsHandle | null };
  const at = tls ? stuckAt(tls) : undefined;
  if (at === undefined) return;
  // A write that the system has taken at once is over by then.
  setImmediate(() => stuckAt(tls!) === at && socket.destroy());
}

/** How much was written when there is more that is encrypted, and not handed to the system; else undefined. */
function stuckAt({ writeQueueSize, _parent: tcp }: TlsHandle): number | undefined {
  return writeQueueSize > 0 && tcp.writeQueueSize === 0 ? tcp.bytesWritten : undefined;
}

/** Cuts off answers until few enough are left, those of the connections first that have the most of them. */
function shed(stalled: readonly Http2Answer[]): void {
  const groups = [...Map.groupBy(stalled, ({ stream }) => stream.session).values()];
  let left = stalled.length;
  for (const group of groups.sort((one, other) => other.length - one.length)) {
    if (left <= MAX_STALLED) return;
    for (const answer of group) answer.cutOff();
    left -= group.length;
  }
}

/** Each frame of a byte costs as much as one of 16 KiB: whoever sends thousands is told to calm down, and hung up on. */
function countData(stream: ServerHttp2Stream, chunks: Parameters<typeof countChunk>[0]): void {
  const { push } = stream;
  stream.push = (chunk: Buffer | null) => {
    if (chunk && countChunk(chunks, chunk.length) === 'too many') {
      stream.session?.destroy(new Error('too many tiny frames'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return push.call(stream, chunk);
  };
}

/** node:http2 waits for a body for ever. */
function boundBody(incoming: Http2ServerRequest, bodyMs: number): void {
  if (incoming.stream.endAfterHeaders) return;
  const error = new GatewayError('REQUEST_TIMEOUT', `the request did not come within ${bodyMs / 1000} s`);
  const timer = setTimeout(() => breakBody(incoming as never, error), bodyMs).unref();
  incoming.once('end', () => clearTimeout(timer));
  incoming.once('close', () => clearTimeout(timer));
}

/** Whoever has the answer need not send the rest of the request (RFC 9113, section 8.1). */
function endRequest(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return;
  stream.resume();
  if (!stream.endAfterHeaders) setImmediate(stopUpload, stream);
}

/** Once the frame has gone that ends the answer: a reset would overtake it, and clients take that for a failure. */
function stopUpload(stream: ServerHttp2Stream): void {
  if (stream.closed || stream.destroyed || stream.state.remoteClose) return;
  if (stream.state.localClose) stream.close(constants.NGHTTP2_NO_ERROR);
  else setTimeout(stopUpload, UNSENT_MS, stream).unref();
}
