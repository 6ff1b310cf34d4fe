/** RFC 9113, section 6. */
const DATA = 0x0;
const HEADERS = 0x1;
const RST_STREAM = 0x3;
const END_STREAM = 0x1;
const FRAME_HEAD_BYTES = 9;
const PREFACE_BYTES = 24;

export type StreamTap = ReturnType<typeof createStreamTap>;

/** Counts the streams of one HTTP/2 connection from the heads of its frames, which are all that it reads. */
export function createStreamTap(onStream: () => void) {
  const open = new Set<number>();
  const up = createFrameHeads(PREFACE_BYTES, (type, _flags, stream) => {
    // Trailers and field blocks that go on are no new streams: a client has neither here.
    if (type === HEADERS && !open.has(stream)) {
      open.add(stream);
      onStream();
    } else if (type === RST_STREAM) open.delete(stream);
  });
  const down = createFrameHeads(0, (type, flags, stream) => {
    const ends = (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0;
    if (ends || type === RST_STREAM) open.delete(stream);
  });
  return { up, down, open: () => open.size };
}

function createFrameHeads(skipBytes: number, onHead: (type: number, flags: number, stream: number) => void) {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  let have = 0;
  let skip = skipBytes;
  return (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length; ) {
      if (skip > 0) {
        const some = Math.min(skip, chunk.length - at);
        skip -= some;
        at += some;
        continue;
      }
      const some = chunk.copy(head, have, at, at + FRAME_HEAD_BYTES - have);
      have += some;
      at += some;
      if (have < FRAME_HEAD_BYTES) continue;
      have = 0;
      skip = head.readUIntBE(0, 3);
      onHead(head[3]!, head[4]!, head.readUInt32BE(5) & 0x7fffffff);
    }
  };
}
