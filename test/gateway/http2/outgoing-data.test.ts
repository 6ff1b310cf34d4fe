import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { FrameWriter } from '../../../src/gateway/upstream/http2/frame-writer.ts';
import { createOutgoingData, type Outgoing } from '../../../src/gateway/upstream/http2/outgoing-data.ts';

const FRAME_BYTES = 16_384;
const ROOM = 2 ** 30;

/** Takes every frame. */
function createWriter(): FrameWriter {
  const buffer = Buffer.alloc(FRAME_BYTES + 9);
  return { reserve: () => 0, bytes: () => buffer } as unknown as FrameWriter;
}

function streamOf(id: number): Outgoing {
  return { id, sendWindowBytes: ROOM, pending: undefined, hasEnded: false };
}

it('those who wait for the window of the connection take turns, and what is one frame goes first', () => {
  const sentBy: number[] = [];
  const data = createOutgoingData(createWriter());
  const large = [streamOf(1), streamOf(3)];
  for (const stream of large) data.send(stream, new Uint8Array(20 * FRAME_BYTES));
  const small = [streamOf(5), streamOf(7)];
  for (const stream of small) data.send(stream, new Uint8Array(100));
  assert.ok(
    small.every(({ pending }) => pending),
    'the window is used up',
  );
  for (let frame = 0; frame < 8; frame++) {
    // Room for one frame more, each time.
    const before = new Map([...large, ...small].map((stream) => [stream, stream.pending?.length ?? 0]));
    data.widenConnection(frame < 2 ? 100 : FRAME_BYTES);
    for (const [stream, bytes] of before) if ((stream.pending?.length ?? 0) < bytes) sentBy.push(stream.id);
  }
  assert.deepEqual(sentBy.slice(0, 2).toSorted(), [5, 7], sentBy.join());
  const turns = sentBy.filter((id) => id < 5);
  const shares = Map.groupBy(turns, (id) => id);
  assert.ok(Math.abs(shares.get(1)!.length - shares.get(3)!.length) <= 1, `${turns}`);
});

it('an empty body needs no window, not even where the peer has taken back more than there was', () => {
  let frames = 0;
  const writer = createWriter();
  const data = createOutgoingData({
    ...writer,
    reserve() {
      frames++;
      assert.equal(frames, 1);
      return 0;
    },
  } as FrameWriter);
  const stream = { ...streamOf(1), sendWindowBytes: -5 };
  data.send(stream, new Uint8Array(0));
  assert.deepEqual([frames, stream.hasEnded, stream.pending], [1, true, undefined]);
});
