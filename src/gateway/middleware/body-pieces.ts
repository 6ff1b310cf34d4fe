/** Smaller chunks are copied together: one of a byte costs 200 of memory, or keeps alive all that was read with it. */
const SMALL_BYTES = 16_384;
/** What they are copied into grows to this size. */
const PIECE_BYTES = 65_536;
const FIRST_PIECE_BYTES = 1_024;

export type BodyPieces = ReturnType<typeof createBodyPieces>;

/** A body as it comes, in about as much memory as it has bytes, in however small chunks its client sends it. */
export function createBodyPieces() {
  const pieces: Buffer[] = [];
  let room = Buffer.alloc(0);
  let filled = 0;
  let sizeBytes = 0;

  function seal(): void {
    if (filled > 0) pieces.push(room.subarray(0, filled));
    room = room.subarray(filled);
    filled = 0;
  }

  return {
    /** In bytes, so far. */
    size: (): number => sizeBytes,

    add(chunk: Buffer): void {
      const isFirst = sizeBytes === 0;
      sizeBytes += chunk.length;
      // Most bodies are one chunk.
      if (isFirst || chunk.length >= SMALL_BYTES) {
        seal();
        pieces.push(chunk);
        return;
      }
      if (room.length - filled < chunk.length) {
        seal();
        // As much again as there is, so that a body has few pieces.
        room = Buffer.allocUnsafeSlow(Math.max(chunk.length, FIRST_PIECE_BYTES, Math.min(sizeBytes, PIECE_BYTES)));
      }
      chunk.copy(room, filled);
      filled += chunk.length;
    },

    join(): Buffer {
      seal();
      return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, sizeBytes);
    },
  };
}
