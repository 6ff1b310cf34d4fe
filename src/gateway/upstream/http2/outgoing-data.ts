import { ConnectionError } from './errors.ts';
import type { FrameWriter } from './frame-writer.ts';
import { FLAGS, FRAME_HEADER_BYTES, FRAMES, MAX_31_BIT, MAX_FRAME_BYTES, writeFrameHeader } from './frames.ts';
import { DEFAULT_WINDOW_BYTES } from './settings.ts';

/** What of a stream matters for sending. */
export interface Outgoing {
  readonly id: number;
  /** Bytes that the peer still takes on this stream; below 0 when it has lowered its initial window. */
  sendWindowBytes: number;
  /** What of the request waits for a window. */
  pending: Uint8Array | undefined;
  /** END_STREAM has gone, with the last byte. */
  hasEnded: boolean;
}

/** What is one frame goes first: a lookup must not wait for what others submit. */
const rank = ({ pending }: Outgoing): number => (pending && pending.length <= MAX_FRAME_BYTES ? 0 : 1);

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
    const data = stream.pending!;
    const length = Math.max(0, Math.min(data.length, MAX_FRAME_BYTES, stream.sendWindowBytes, connectionWindowBytes));
    if (length === 0 && data.length > 0) return false;
    const isLast = length === data.length;
    stream.pending = isLast ? undefined : data.subarray(length);
    writeFrame(stream, data.subarray(0, length), isLast);
    return true;
  }

  /** Until nobody can go on. */
  function pump(): void {
    for (let hasSent = waiting.size > 0; hasSent; ) {
      hasSent = false;
      // Whoever has sent goes behind the others: the connection's window may end in the middle of a round.
      for (const stream of [...waiting].sort((one, other) => rank(one) - rank(other))) {
        if (!sendNext(stream)) continue;
        hasSent = true;
        waiting.delete(stream);
        if (stream.pending) waiting.add(stream);
      }
    }
  }

  return {
    /** Sends the whole body of a request as soon as it may. Keeps what it cannot send. */
    send(stream: Outgoing, data: Uint8Array): void {
      const roomBytes = Math.min(MAX_FRAME_BYTES, stream.sendWindowBytes, connectionWindowBytes);
      if (waiting.size === 0 && data.length <= roomBytes) {
        writeFrame(stream, data, true);
        return;
      }
      stream.pending = data;
      waiting.add(stream);
      pump();
    },

    /** Nothing more of this stream. */
    forget(stream: Outgoing): void {
      stream.pending = undefined;
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
