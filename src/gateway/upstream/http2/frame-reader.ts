import { ConnectionError } from './errors.ts';
import { FRAME_HEADER_BYTES, MAX_31_BIT, MAX_FRAME_BYTES } from './frames.ts';

/** A frame, whose payload is `bytes` from `start` to `end`: good only during the call. */
export type OnFrame = (
  type: number,
  flags: number,
  streamId: number,
  bytes: Buffer,
  start: number,
  end: number,
) => void;

/** The first bytes of an answer in HTTP/1: `HTT`, read as a length. */
const HTTP1_LENGTH = 0x48_54_54;

/**
 * Cuts what a connection reads into frames (RFC 9113, section 4.1). Frames are handed out where they lie in the chunk; only
 * one that is split between chunks is copied. Throws a ConnectionError for one that is longer than we allow.
 */
export function createFrameReader(onFrame: OnFrame): (chunk: Buffer) => void {
  // The frame that the last chunk cut off: its header alone, until all of that is there.
  let cut: Buffer | undefined;
  let filled = 0;

  function emit(bytes: Buffer, at: number, length: number): void {
    const start = at + FRAME_HEADER_BYTES;
    onFrame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5) & MAX_31_BIT, bytes, start, start + length);
  }

  /** Goes on with the cut frame, and answers with how many bytes it took. */
  function fill(frame: Buffer, chunk: Buffer, at: number): number {
    const taken = chunk.copy(frame, filled, at, at + frame.length - filled);
    filled += taken;
    if (filled < frame.length) return taken;
    const length = readLength(frame, 0);
    if (frame.length < FRAME_HEADER_BYTES + length) {
      cut = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
      frame.copy(cut);
      return taken;
    }
    cut = undefined;
    emit(frame, 0, length);
    return taken;
  }

  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (cut) {
        at += fill(cut, chunk, at);
        continue;
      }
      const available = chunk.length - at;
      const size = FRAME_HEADER_BYTES + (available < FRAME_HEADER_BYTES ? 0 : readLength(chunk, at));
      if (available >= size) {
        emit(chunk, at, size - FRAME_HEADER_BYTES);
        at += size;
      } else {
        cut = Buffer.allocUnsafe(size);
        filled = 0;
      }
    }
  };
}

function readLength(bytes: Buffer, at: number): number {
  const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (length === HTTP1_LENGTH) throw new ConnectionError('PROTOCOL_ERROR', 'the server speaks HTTP/1, not HTTP/2');
  if (length > MAX_FRAME_BYTES) throw new ConnectionError('FRAME_SIZE_ERROR', `a frame of ${length} bytes`);
  return length;
}
