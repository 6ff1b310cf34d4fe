import { ConnectionError } from './errors.ts';
import type { FrameWriter } from './frame-writer.ts';
import { FLAGS, FRAME_HEADER_BYTES, FRAMES, MAX_31_BIT, MAX_FRAME_BYTES, writeFrameHeader } from './frames.ts';
import { DEFAULT_WINDOW_BYTES } from './settings.ts';

/** What of a stream matters for sending. */
export interface Outgoing {
  readonly id: number;
  /** Bytes that the peer still takes on this stream; below 0 when it has lowered its initial window. */
  sendWindowBytes: number;
  /** What waits for a window, oldest first. */
  pending: Uint8Array[];
  /** END_STREAM is to go with the last byte, or has gone. */
  isEnding: boolean;
  /** END_STREAM has gone. */
  hasEnded: boolean;
}

/**
 * Sends DATA as the peer's windows allow (RFC 9113, section 5.2). What does not fit waits, and streams that wait take turns,
 * a frame each.
 */
export function createOutgoingData(writer: FrameWriter) {
  let connectionWindowBytes = DEFAULT_WINDOW_BYTES;
  const waiting = new Set<Outgoing>();

  function writeFrame(stream: Outgoing, data: Uint8Array, endStream: boolean): void {
    const at = writer.reserve(FRAME_HEADER_BYTES + data.length);
    const bytes = writer.bytes();
    const flags = endStream ? FLAGS.END_STREAM : 0;
    bytes.set(data, writeFrameHeader(bytes, at, data.length, FRAMES.DATA, flags, stream.id));
    stream.sendWindowBytes -= data.length;
    connectionWindowBytes -= data.length;
    if (endStream) stream.hasEnded = true;
  }

  /** Sends one frame of what waits, and tells whether there was a window for it. */
  function sendNext(stream: Outgoing): boolean {
    const [head] = stream.pending;
    if (!head) return false;
    const length = Math.min(head.length, MAX_FRAME_BYTES, stream.sendWindowBytes, connectionWindowBytes);
    if (length <= 0 && head.length > 0) return false;
    if (length === head.length) stream.pending.shift();
    else stream.pending[0] = head.subarray(length);
    writeFrame(stream, head.subarray(0, length), stream.isEnding && stream.pending.length === 0);
    return true;
  }

  /** Until nobody can go on. */
  function pump(): void {
    for (let hasSent = waiting.size > 0; hasSent; ) {
      hasSent = false;
      for (const stream of [...waiting]) {
        if (sendNext(stream)) hasSent = true;
        if (stream.pending.length === 0) waiting.delete(stream);
      }
    }
  }

  return {
    /** Sends `data` as soon as it may, and END_STREAM with its last byte if `endStream`. Keeps what it cannot send. */
    send(stream: Outgoing, data: Uint8Array, endStream: boolean): void {
      stream.isEnding = endStream;
      const roomBytes = Math.min(MAX_FRAME_BYTES, stream.sendWindowBytes, connectionWindowBytes);
      if (waiting.size === 0 && data.length <= roomBytes) {
        writeFrame(stream, data, endStream);
        return;
      }
      stream.pending.push(data);
      waiting.add(stream);
      pump();
    },

    /** Nothing more of this stream. */
    forget(stream: Outgoing): void {
      stream.pending = [];
      waiting.delete(stream);
    },

    widenConnection(increment: number): void {
      connectionWindowBytes += increment;
      if (connectionWindowBytes > MAX_31_BIT) throw new ConnectionError('FLOW_CONTROL_ERROR', 'a window over 2^31-1');
      pump();
    },

    /** Answers with whether the window is still one that may be. */
    widen(stream: Outgoing, increment: number): boolean {
      stream.sendWindowBytes += increment;
      if (stream.sendWindowBytes > MAX_31_BIT) return false;
      if (waiting.has(stream)) pump();
      return true;
    },
  };
}
