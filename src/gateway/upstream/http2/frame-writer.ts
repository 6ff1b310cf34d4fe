import { FLAGS, FRAME_HEADER_BYTES, FRAMES, MAX_FRAME_BYTES, writeFrameHeader } from './frames.ts';

/** Frames of a batch: as many as one write takes at once on most systems. */
const BATCH_BYTES = 65_536;
/** Batches that are kept for reuse; more are made when the peer reads slowly. */
const SPARE_BATCHES = 2;

export type FrameWriter = ReturnType<typeof createFrameWriter>;

/**
 * Collects frames in batches: all that are made in one turn of the event loop leave in one write, which is what makes a call
 * cheap. `write` gets a batch that stays as it is until `done`.
 */
export function createFrameWriter(write: (batch: Buffer, done: () => void) => void) {
  const spare: Buffer[] = [];
  let batch: Buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
  let used = 0;
  let isScheduled = false;
  let number = 0;
  let isClosed = false;
  let unsent = 0;

  function flush(): void {
    isScheduled = false;
    if (used === 0 || isClosed) return;
    const full = batch;
    const length = used;
    used = 0;
    number++;
    // While the peer does not read, a few bytes must not hold a whole batch each.
    if (unsent >= SPARE_BATCHES && length <= BATCH_BYTES / 2) {
      write(Buffer.from(full.subarray(0, length)), () => undefined);
      return;
    }
    unsent++;
    batch = spare.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES);
    write(full.subarray(0, length), () => {
      unsent--;
      if (spare.length < SPARE_BATCHES) spare.push(full);
    });
  }

  return {
    /**
     * Where the next `length` bytes go, up to BATCH_BYTES. They must be written to `bytes()` at once: the next call may send
     * them off.
     */
    reserve(length: number): number {
      if (used + length > BATCH_BYTES) flush();
      if (!isScheduled) {
        isScheduled = true;
        // After all the sockets that are ready now have been read.
        setImmediate(flush);
      }
      const at = used;
      used += length;
      return at;
    },

    bytes: (): Buffer => batch,

    add(frame: Buffer): void {
      const at = this.reserve(frame.length);
      batch.set(frame, at);
    },

    /** How many batches have left so far: a frame of a later one has not been sent. */
    sentBatches: (): number => number,

    flush,

    /** Throws away what has not been sent, and sends this as the last. */
    close(lastFrame: Buffer): void {
      used = 0;
      this.add(lastFrame);
      flush();
      isClosed = true;
    },
  };
}

/** Writes HEADERS and as many CONTINUATION as it takes. */
export function writeHeaderBlock(
  writer: Pick<FrameWriter, 'reserve' | 'bytes'>,
  streamId: number,
  block: Buffer,
): void {
  for (let at = 0, type: number = FRAMES.HEADERS; at < block.length; type = FRAMES.CONTINUATION) {
    const length = Math.min(block.length - at, MAX_FRAME_BYTES);
    const flags = at + length === block.length ? FLAGS.END_HEADERS : 0;
    const start = writer.reserve(FRAME_HEADER_BYTES + length);
    const bytes = writer.bytes();
    block.copy(bytes, writeFrameHeader(bytes, start, length, type, flags, streamId), at, at + length);
    at += length;
  }
}
