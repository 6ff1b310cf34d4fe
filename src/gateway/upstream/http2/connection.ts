import type { Socket } from 'node:net';
import { createEmptyFrameLimit } from './empty-frame-limit.ts';
import { ConnectionError, ERROR_CODES, errorName, StreamError } from './errors.ts';
import { createFrameWriter, writeHeaderBlock } from './frame-writer.ts';
import { FLAGS, FRAMES, frame, MAX_31_BIT, uint32 } from './frames.ts';
import { type Fields, fieldValue, type HeaderBlock } from './header-blocks.ts';
import { NO_DYNAMIC_TABLE } from './hpack/encoder.ts';
import { createIncomingFrames } from './incoming-frames.ts';
import { createKeepalive } from './keepalive.ts';
import { createOutgoingData, type Outgoing } from './outgoing-data.ts';
import { createReceiveWindows, type Incoming } from './receive-windows.ts';
import { createResetStreams } from './reset-streams.ts';
import { defaultPeerSettings, encodeSettings, readSettings } from './settings.ts';

/** RFC 9113, section 3.4. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const MAX_HEADER_LIST_BYTES = 65_536;
/** Streams on one connection, whatever the server takes. */
const MAX_STREAMS = 1_000;
/** Answers to PING and SETTINGS that a peer leaves unread. */
const MAX_UNREAD_BYTES = 1024 * 1024;
/** Time for the last words to leave. */
const FAREWELL_MS = 1_000;

/** Who waits for the answer on a stream. Either `end` or `fail` is the last that is called, once. */
export interface StreamHandler {
  header(fields: Fields): void;
  /** The bytes lie in the buffer that the socket was read into. They count against the window until they are `taken`. */
  data(bytes: Buffer): void;
  /** `trailer` is undefined when the answer ended without one. */
  end(trailer: Fields | undefined): void;
  fail(error: StreamError): void;
}

export interface Stream extends Outgoing, Incoming {
  readonly handler: StreamHandler;
  /** The batch of frames that its HEADERS end in. */
  batch: number;
  hasHeader: boolean;
}

export interface ConnectionOptions {
  /** What a server may send on one stream before it is taken. */
  readonly streamWindowBytes: number;
  /** Time between PINGs while streams are open and silent. */
  readonly keepaliveMs: number;
  /** The server's SETTINGS have come: it takes streams. */
  readonly onReady: () => void;
  /** A stream has ended, or the server takes more of them. */
  readonly onRoom: () => void;
  /** It takes no more streams, because the server is leaving or it is gone. Called once. */
  readonly onLeave: () => void;
  /** It is gone, and every stream has failed. Called once. */
  readonly onClose: (error: Error) => void;
}

export type Connection = ReturnType<typeof createConnection>;

/**
 * One HTTP/2 connection of a client, on a socket that is connected: RFC 9113. Streams are made in `open`; the server's pushes
 * are refused. When the server breaks the protocol, the connection is closed and its streams fail.
 */
export function createConnection(socket: Socket, options: ConnectionOptions) {
  const { streamWindowBytes, onReady, onRoom, onLeave, onClose } = options;
  const peer = defaultPeerSettings();
  const streams = new Map<number, Stream>();
  let nextId = 1;
  let isReady = false;
  let isLeaving = false;
  /** Why the server leaves, if it says so. */
  let farewell = '';
  let isClosed = false;
  let hasServed = false;
  /** What we have answered since the socket was last empty. */
  let unreadBytes = 0;

  const writer = createFrameWriter((batch, done) => {
    if (socket.writable) socket.write(batch, done);
  });
  const outgoing = createOutgoingData(writer);
  const windows = createReceiveWindows(writer, streamWindowBytes);
  const emptyFrames = createEmptyFrameLimit();
  const resets = createResetStreams({
    // Not by PING: many gRPC servers hang up on a client that sends a few.
    askForAck: () => writer.add(frame(FRAMES.SETTINGS, 0, 0, Buffer.alloc(0))),
    onRoom,
  });
  const keepalive = createKeepalive(options.keepaliveMs, {
    ping: () => writer.add(frame(FRAMES.PING, 0, 0, Buffer.alloc(8))),
    isBusy: () => streams.size > 0,
    onSilence: (ms) => close(new Error(`no answer to a ping within ${ms} ms`)),
  });

  function takenPlaces(): number {
    return streams.size + resets.lingering();
  }

  function hasRoom(): boolean {
    return isReady && !isLeaving && takenPlaces() < Math.min(peer.maxConcurrentStreams, MAX_STREAMS);
  }

  /** From here on the server need not be asked for more. */
  function leave(): void {
    if (isLeaving) return;
    isLeaving = true;
    onLeave();
  }

  function closeIfDone(): void {
    if (isLeaving && streams.size === 0) close(new Error(`the server has closed the connection${farewell}`));
  }

  function close(error: Error): void {
    if (isClosed) return;
    isClosed = true;
    keepalive.close();
    const code = error instanceof ConnectionError ? error.code : ERROR_CODES.NO_ERROR;
    const sentBatches = writer.sentBatches();
    writer.close(frame(FRAMES.GOAWAY, 0, 0, uint32(0, code)));
    socket.destroySoon();
    setTimeout(() => socket.destroy(), FAREWELL_MS).unref();
    leave();
    const message = `the connection was lost: ${error.message}`;
    for (const stream of [...streams.values()]) {
      failStream(stream, new StreamError(message, { isUnprocessed: stream.batch >= sentBatches, cause: error }));
    }
    onClose(error);
  }

  function dropStream(stream: Stream): void {
    stream.isClosed = true;
    outgoing.forget(stream);
    streams.delete(stream.id);
  }

  function failStream(stream: Stream, error: StreamError): void {
    dropStream(stream);
    stream.handler.fail(error);
    settle();
  }

  function settle(): void {
    if (isClosed) return;
    onRoom();
    closeIfDone();
  }

  function sendReset(stream: Stream, code: number): void {
    resets.add(stream.id);
    writer.add(frame(FRAMES.RST_STREAM, 0, stream.id, uint32(code)));
  }

  /** The server broke the rules on this stream alone: section 5.4.2. */
  function rejectStream(stream: Stream, code: keyof typeof ERROR_CODES, message: string): void {
    sendReset(stream, ERROR_CODES[code]);
    failStream(stream, new StreamError(message, { code: ERROR_CODES[code] }));
  }

  function endStream(stream: Stream, trailer: Fields | undefined): void {
    // The answer is complete before the request is: nobody wants the rest (section 8.1).
    if (!stream.hasEnded) sendReset(stream, ERROR_CODES.CANCEL);
    dropStream(stream);
    stream.handler.end(trailer);
    settle();
  }

  /** The stream of a frame; undefined for one that is over, of which the server could not have known. */
  function findStream(id: number, type: string, mayBeOver = false): Stream | undefined {
    const stream = streams.get(id);
    if (stream) return stream;
    if (id === 0 || id % 2 === 0 || id >= nextId)
      throw new ConnectionError('PROTOCOL_ERROR', `${type} on stream ${id}`);
    if (mayBeOver || resets.explains(id)) return undefined;
    throw new ConnectionError('STREAM_CLOSED', `${type} on stream ${id}, which has ended`);
  }

  function onHeader({ streamId, endStream: isEnd, fields, fault }: HeaderBlock): void {
    const stream = findStream(streamId, 'HEADERS');
    if (!stream) return;
    const status = fieldValue(fields, ':status');
    if (fault === 'too large') {
      rejectStream(stream, 'ENHANCE_YOUR_CALM', `the header is larger than ${MAX_HEADER_LIST_BYTES} bytes`);
    } else if (fault || (stream.hasHeader ? status !== undefined || !isEnd : !/^[1-9]\d\d$/.test(status ?? ''))) {
      // A trailer has no status, and nothing comes behind it.
      rejectStream(stream, 'PROTOCOL_ERROR', 'the answer is malformed');
    } else if (stream.hasHeader) {
      endStream(stream, fields);
    } else if (!status!.startsWith('1')) {
      stream.hasHeader = true;
      hasServed = true;
      emptyFrames.reset();
      stream.handler.header(fields);
      if (isEnd && !stream.isClosed) endStream(stream, undefined);
    } else if (isEnd) rejectStream(stream, 'PROTOCOL_ERROR', 'the answer ends before it has begun');
    else emptyFrames.count();
  }

  function onData(streamId: number, content: Buffer, length: number, isEnd: boolean): void {
    windows.receive(length);
    if (content.length === 0 && !isEnd) emptyFrames.count();
    const stream = findStream(streamId, 'DATA');
    if (!stream) return;
    if (!stream.hasHeader) rejectStream(stream, 'PROTOCOL_ERROR', 'the answer begins without a header');
    else if (!windows.receiveOn(stream, length))
      rejectStream(stream, 'FLOW_CONTROL_ERROR', 'more than the stream takes');
    else {
      if (length > content.length) windows.take(stream, length - content.length);
      if (content.length > 0) {
        emptyFrames.reset();
        stream.handler.data(content);
      }
      if (isEnd && !stream.isClosed) endStream(stream, undefined);
    }
  }

  function onSettings(payload: Buffer): void {
    const before = peer.initialWindowBytes;
    readSettings(peer, payload);
    reply(frame(FRAMES.SETTINGS, FLAGS.ACK, 0, Buffer.alloc(0)));
    const change = peer.initialWindowBytes - before;
    for (const stream of change === 0 ? [] : [...streams.values()]) {
      if (!outgoing.widen(stream, change)) throw new ConnectionError('FLOW_CONTROL_ERROR', 'a window over 2^31-1');
    }
    if (isReady) onRoom();
    else {
      isReady = true;
      onReady();
    }
  }

  /** An answer that the peer can have as often as it asks. */
  function reply(bytes: Buffer): void {
    // Requests that wait in the socket, too, are not the peer's fault.
    if (socket.writableLength === 0) unreadBytes = 0;
    unreadBytes += bytes.length;
    if (unreadBytes > MAX_UNREAD_BYTES) throw new ConnectionError('ENHANCE_YOUR_CALM', 'a peer that only asks');
    emptyFrames.count();
    writer.add(bytes);
  }

  function onGoaway(lastId: number, code: number): void {
    emptyFrames.count();
    if (code !== ERROR_CODES.NO_ERROR) farewell = `: ${errorName(code)}`;
    leave();
    for (const stream of [...streams.values()]) {
      if (stream.id <= lastId) continue;
      // Of these the server promises that it has not looked at them (section 6.8), unless it has begun to answer.
      const isUnprocessed = !stream.hasHeader;
      failStream(stream, new StreamError(`the server is leaving: ${errorName(code)}`, { code, isUnprocessed }));
    }
    closeIfDone();
  }

  function onReset(streamId: number, code: number): void {
    emptyFrames.count();
    const stream = findStream(streamId, 'RST_STREAM', true);
    if (!stream) return;
    const isUnprocessed = code === ERROR_CODES.REFUSED_STREAM && !stream.hasHeader;
    failStream(stream, new StreamError(`the server reset the stream: ${errorName(code)}`, { code, isUnprocessed }));
  }

  function onWindowUpdate(streamId: number, increment: number): void {
    emptyFrames.count();
    if (streamId === 0) {
      if (increment === 0) throw new ConnectionError('PROTOCOL_ERROR', 'a window update of nothing');
      outgoing.widenConnection(increment);
      return;
    }
    const stream = findStream(streamId, 'WINDOW_UPDATE', true);
    if (!stream) return;
    if (increment === 0) rejectStream(stream, 'PROTOCOL_ERROR', 'a window update of nothing');
    else if (!outgoing.widen(stream, increment)) rejectStream(stream, 'FLOW_CONTROL_ERROR', 'a window over 2^31-1');
  }

  const read = createIncomingFrames(
    {
      header: onHeader,
      data: onData,
      reset: onReset,
      settings: onSettings,
      settingsAck() {
        emptyFrames.count();
        resets.onAck();
      },
      ping: (payload) => reply(frame(FRAMES.PING, FLAGS.ACK, 0, payload)),
      goaway: onGoaway,
      windowUpdate: onWindowUpdate,
      ignored: emptyFrames.count,
    },
    MAX_HEADER_LIST_BYTES,
  );
  socket.on('data', (chunk: Buffer) => {
    if (isClosed) return;
    keepalive.onRead();
    try {
      read(chunk);
    } catch (error) {
      close(error as Error);
    }
  });
  socket.on('error', close);
  socket.on('end', () => close(new Error(`the server has closed the connection${farewell}`)));
  socket.on('close', () => close(new Error('the socket is closed')));

  writer.add(PREFACE);
  const settings = encodeSettings({ initialWindowBytes: streamWindowBytes, maxHeaderListBytes: MAX_HEADER_LIST_BYTES });
  writer.add(frame(FRAMES.SETTINGS, 0, 0, settings));
  windows.open();
  writer.flush();

  return {
    hasRoom,

    /** How many of the streams that the server takes are taken. */
    takenPlaces,

    /**
     * Begins a stream with the header block and the whole body of its request. Only while there is room. The handler hears
     * nothing before this has returned.
     */
    open(block: Buffer, body: Uint8Array, handler: StreamHandler): Stream {
      const id = nextId;
      nextId += 2;
      if (nextId > MAX_31_BIT) leave();
      const stream: Stream = {
        id,
        handler,
        batch: writer.sentBatches(),
        sendWindowBytes: peer.initialWindowBytes,
        pending: undefined,
        hasEnded: false,
        hasHeader: false,
        isClosed: false,
        receiveWindowBytes: streamWindowBytes,
        takenBytes: 0,
      };
      keepalive.onOpen();
      streams.set(id, stream);
      writeHeaderBlock(writer, id, id === 1 ? Buffer.concat([Buffer.of(NO_DYNAMIC_TABLE), block]) : block);
      stream.batch = writer.sentBatches();
      outgoing.send(stream, body);
      return stream;
    },

    /** `length` bytes of what `data` gave have been used: the server may send as many again. */
    take: windows.take,

    /** Nobody waits for the answer any more. The handler hears nothing more. */
    cancel(stream: Stream): void {
      if (stream.isClosed) return;
      sendReset(stream, ERROR_CODES.CANCEL);
      if (takenPlaces() >= peer.maxConcurrentStreams) resets.linger();
      dropStream(stream);
      settle();
    },

    /** Asks whether the server is still there, after a call from `since` on that got no answer in its time. */
    probe: keepalive.probe,

    /** Takes no more streams, and is closed when the last one has ended. */
    retire(): void {
      leave();
      if (streams.size === 0) close(new Error('the address is not used any more'));
    },

    /** Whether any stream of it has been answered. */
    hasServed: (): boolean => hasServed,

    close(reason = new Error('closed by us')): void {
      close(reason);
    },
  };
}
