import { IncomingMessage } from 'node:http';

/** So many chunks are looked at together; and the average below which they are small, and tiny, in bytes. */
const RUN = 256;
const SMALL_BYTES = 256;
const TINY_BYTES = 16;
/** Runs of tiny chunks, one behind the other, that are too many. */
const MAX_TINY_RUNS = 8;

/** Emitted with `true` when there are too many tiny ones. */
export const SMALL_CHUNKS = Symbol('small chunks');

/** The chunks of the bodies that come on a connection, since it had nothing to answer. */
export interface Chunks {
  chunks: number;
  chunkBytes: number;
  tinyRuns: number;
  /** No more is to be read for now. */
  isHeld: boolean;
}

/** Counts a chunk of so many bytes. Answers with what is to be said of those that have come so far. */
export function countChunk(counts: Omit<Chunks, 'isHeld'>, bytes: number): 'small' | 'too many' | undefined {
  counts.chunkBytes += bytes;
  if (++counts.chunks < RUN) return undefined;
  const meanBytes = counts.chunkBytes / RUN;
  counts.chunks = 0;
  counts.chunkBytes = 0;
  counts.tinyRuns = meanBytes < TINY_BYTES ? counts.tinyRuns + 1 : 0;
  if (counts.tinyRuns === MAX_TINY_RUNS) return 'too many';
  return meanBytes < SMALL_BYTES ? 'small' : undefined;
}

/**
 * A request that notices a body in small chunks: each costs as much as one of 64 KiB, so a packet of them holds up everybody
 * for 30 ms, and libuv reads up to 32 packets of one connection in a turn of its loop.
 */
export class CountedMessage extends IncomingMessage {
  countedBy: Chunks | undefined;

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    const { countedBy } = this;
    // With its end Node would read on.
    const found = countedBy && (chunk ? countChunk(countedBy, chunk.length) : countedBy.isHeld && 'small');
    if (found) this.emit(SMALL_CHUNKS, found === 'too many');
    return super.push(chunk, encoding);
  }

  /** Who reads the body asks for more. */
  override _read(size: number): void {
    if (!this.countedBy?.isHeld) super._read(size);
  }

  /** Node's own, after an answer, has the rest of the body parsed without a word to anybody. */
  _dump(): void {
    this.removeAllListeners('data');
    this.resume();
  }
}
