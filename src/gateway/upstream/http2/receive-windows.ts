import { ConnectionError } from './errors.ts';
import type { FrameWriter } from './frame-writer.ts';
import { FRAMES, frame, uint32 } from './frames.ts';
import { DEFAULT_WINDOW_BYTES } from './settings.ts';

/** The window of all streams together: their own windows hold a fast server back, this one must not. */
const CONNECTION_WINDOW_BYTES = 64 * 1024 * 1024;

/** What flow control knows of a stream that receives. */
export interface Incoming {
  readonly id: number;
  isClosed: boolean;
  receiveWindowBytes: number;
  /** Taken, and not yet given back to the server as window. */
  takenBytes: number;
}

/**
 * How much the server may send (RFC 9113, section 5.2). The window of the connection is given back at once, so that no stream
 * has to wait for the reader of another one; that of a stream when half of it was taken.
 */
export function createReceiveWindows(writer: Pick<FrameWriter, 'add'>, streamWindowBytes: number) {
  let leftBytes = CONNECTION_WINDOW_BYTES;

  function widen(streamId: number, increment: number): void {
    writer.add(frame(FRAMES.WINDOW_UPDATE, 0, streamId, uint32(increment)));
  }

  return {
    /** Widens the connection from what it begins with. */
    open: (): void => widen(0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES),

    /** DATA of `length` bytes has come, padding and all, whatever its stream. */
    receive(length: number): void {
      leftBytes -= length;
      if (leftBytes < 0) throw new ConnectionError('FLOW_CONTROL_ERROR', 'more than the connection takes');
      if (leftBytes >= CONNECTION_WINDOW_BYTES / 2) return;
      widen(0, CONNECTION_WINDOW_BYTES - leftBytes);
      leftBytes = CONNECTION_WINDOW_BYTES;
    },

    /** Of a stream that is open. Answers whether it was within the window. */
    receiveOn(stream: Incoming, length: number): boolean {
      stream.receiveWindowBytes -= length;
      return stream.receiveWindowBytes >= 0;
    },

    /** The server may send as many again. */
    take(stream: Incoming, length: number): void {
      stream.takenBytes += length;
      if (stream.takenBytes < streamWindowBytes / 2 || stream.isClosed) return;
      widen(stream.id, stream.takenBytes);
      stream.receiveWindowBytes += stream.takenBytes;
      stream.takenBytes = 0;
    },
  };
}
