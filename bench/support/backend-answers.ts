import type { Socket } from 'node:net';
import {
  createFieldBlocks,
  DEFAULT_WINDOW_BYTES,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_FRAME_BYTES,
  toDataFrames,
  writeDataFrames,
  writeFrameHead,
} from './backend-frames.ts';

/** A message that is answered again and again, made ready once. */
export interface Prepared {
  readonly message: Buffer;
  readonly frames: Buffer;
}

/** What a call is answered with: a message, a status other than 0, messages as they come, or one of these later. */
export type Answer =
  | Prepared
  | { readonly status: string }
  | { readonly follow: (stream: EventStream) => void }
  | { readonly later: (reply: (answer: Answer) => void, isDropped: () => boolean) => void };

export interface EventStream {
  /** A length-prefixed message. */
  readonly write: (message: Buffer) => void;
  onClose: () => void;
}

/** Of length-prefixed bytes (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export function prepare(message: Buffer): Prepared {
  return { message, frames: toDataFrames(message) };
}

/** A stream whose answer did not fit into the peer's windows, or has no end yet. */
interface Outgoing {
  window: number;
  readonly waiting: Buffer[];
  readonly isEnding: boolean;
  readonly stream?: EventStream;
}

export type Answers = ReturnType<typeof createAnswers>;

const OUTPUT_BYTES = 64 * 1024;
/** Room for the heads and field blocks of one answer. */
const ANSWER_ROOM_BYTES = 256;

/**
 * What goes out on one connection: it is gathered until `flush`, and then is one write. Nothing of an answer is sent that the
 * peer's windows do not allow (RFC 9113, section 5.2).
 */
export function createAnswers(socket: Socket) {
  const blocks = createFieldBlocks();
  const outgoing = new Map<number, Outgoing>();
  /** Calls that are answered later. */
  const awaited = new Set<number>();
  let window = DEFAULT_WINDOW_BYTES;
  let output = Buffer.allocUnsafeSlow(OUTPUT_BYTES);
  let length = 0;
  let isFlushDue = false;

  function makeRoom(bytes: number): void {
    if (length + bytes <= output.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(output.length * 2, length + bytes));
    larger.set(output.subarray(0, length));
    output = larger;
  }

  function flush(): void {
    isFlushDue = false;
    if (length > 0 && socket.writable) socket.write(Buffer.from(output.subarray(0, length)));
    length = 0;
  }

  /** For what is written while nothing is being read. */
  function flushSoon(): void {
    if (isFlushDue) return;
    isFlushDue = true;
    queueMicrotask(flush);
  }

  function writeFrame(type: number, flags: number, id: number, payload: ArrayLike<number>): void {
    makeRoom(FRAME_HEAD_BYTES + payload.length);
    length = writeFrameHead(output, length, payload.length, type, flags, id);
    for (let index = 0; index < payload.length; index++) output[length++] = payload[index]!;
  }

  function writeTrailers(id: number): void {
    writeFrame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, blocks.trailers());
  }

  /** As much as the windows allow. */
  function sendWaiting(id: number, answer: Outgoing): void {
    const { waiting } = answer;
    while (waiting.length > 0) {
      const [message] = waiting as [Buffer];
      const bytes = Math.min(message.length, window, answer.window, MAX_FRAME_BYTES);
      if (bytes <= 0) return;
      makeRoom(bytes + ANSWER_ROOM_BYTES);
      length = writeFrameHead(output, length, bytes, FRAME.data, 0, id);
      output.set(message.subarray(0, bytes), length);
      length += bytes;
      window -= bytes;
      answer.window -= bytes;
      if (bytes === message.length) waiting.shift();
      else waiting[0] = message.subarray(bytes);
    }
    if (!answer.isEnding) return;
    writeTrailers(id);
    outgoing.delete(id);
  }

  function follow(id: number, streamWindow: number, begin: (stream: EventStream) => void): void {
    const waiting: Buffer[] = [];
    const stream: EventStream = {
      write(message) {
        waiting.push(message);
        sendWaiting(id, open);
        flushSoon();
      },
      onClose: () => undefined,
    };
    const open: Outgoing = { window: streamWindow, waiting, isEnding: false, stream };
    outgoing.set(id, open);
    begin(stream);
  }

  const answers = {
    flush,
    writeFrame,
    setPeerTable: blocks.setPeerTable,

    writeNumber(type: number, id: number, value: number): void {
      writeFrame(type, 0, id, [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]);
    },

    /** `streamWindow` is what the peer takes on this stream, in bytes. */
    answer(id: number, streamWindow: number, answer: Answer): void {
      if ('later' in answer) {
        awaited.add(id);
        const reply = (late: Answer) => {
          if (!awaited.delete(id)) return;
          answers.answer(id, streamWindow, late);
          flushSoon();
        };
        answer.later(reply, () => !awaited.has(id));
        return;
      }
      if ('status' in answer) {
        writeFrame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, blocks.refusal(answer.status));
        return;
      }
      writeFrame(FRAME.headers, FLAG.endHeaders, id, blocks.headers());
      if ('follow' in answer) {
        follow(id, streamWindow, answer.follow);
        return;
      }
      const { message, frames } = answer;
      if (message.length > window || message.length > streamWindow) {
        const blocked = { window: streamWindow, waiting: [message], isEnding: true };
        outgoing.set(id, blocked);
        sendWaiting(id, blocked);
        return;
      }
      window -= message.length;
      makeRoom(frames.length + ANSWER_ROOM_BYTES);
      length = writeDataFrames(output, length, frames, id);
      writeTrailers(id);
    },

    /** The peer takes so many bytes more, on one stream or on the connection (id 0). */
    addWindow(id: number, bytes: number): void {
      if (id === 0) {
        window += bytes;
        for (const [each, answer] of outgoing) sendWaiting(each, answer);
        return;
      }
      const answer = outgoing.get(id);
      if (!answer) return;
      answer.window += bytes;
      sendWaiting(id, answer);
    },

    /** The peer has changed the window of all streams (RFC 9113, section 6.9.2). */
    addToEachWindow(bytes: number): void {
      for (const [id, answer] of outgoing) {
        answer.window += bytes;
        sendWaiting(id, answer);
      }
    },

    drop(id: number): void {
      awaited.delete(id);
      const stream = outgoing.get(id)?.stream;
      outgoing.delete(id);
      stream?.onClose();
    },

    dropAll(): void {
      const streams = [...outgoing.values()].map(({ stream }) => stream);
      outgoing.clear();
      awaited.clear();
      for (const stream of streams) stream?.onClose();
    },
  };
  return answers;
}
