import { continuation, data, type Fields, headerBlock, headers } from '../../support/h2-frames.ts';

/** What a server takes in a frame unless it says otherwise (RFC 9113, section 6.5.2). */
export const FRAME_BYTES = 16_384;

interface BlockOptions {
  readonly end: boolean;
  /** Bytes in a frame. */
  readonly fragmentBytes?: number;
  readonly pad?: number | undefined;
  readonly priority?: boolean;
}

/** HEADERS, and CONTINUATION for what one frame has no room for. Nothing may come between. */
export function blockFrames(
  streamId: number,
  fields: Fields,
  { end, fragmentBytes = FRAME_BYTES, pad, priority = false }: BlockOptions,
): Buffer {
  const block = headerBlock(fields);
  // Room for the padding, its length and the priority.
  const firstBytes = Math.max(0, Math.min(fragmentBytes, FRAME_BYTES - 300));
  const first = headers(streamId, block.subarray(0, firstBytes), {
    end,
    priority,
    more: block.length > firstBytes,
    ...(pad !== undefined && { pad }),
  });
  const frames = [first];
  for (let at = firstBytes; at < block.length; at += fragmentBytes) {
    const isLast = at + fragmentBytes >= block.length;
    frames.push(continuation(streamId, block.subarray(at, at + fragmentBytes), { more: !isLast }));
  }
  return Buffer.concat(frames);
}

/** A body in frames of so many bytes; the last one ends the stream. */
export function bodyFrames(streamId: number, body: Buffer, frameBytes = FRAME_BYTES, pad?: number): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length; at += frameBytes) {
    const end = at + frameBytes >= body.length;
    frames.push(data(streamId, body.subarray(at, at + frameBytes), { end, ...(pad !== undefined && { pad }) }));
  }
  return frames;
}
