import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFrameWriter } from '../../../src/gateway/upstream/http2/frame-writer.ts';

const FRAMES = 200;
const FRAME_BYTES = 17;
const MAX_HELD_BYTES = 512 * 1024;

const numbered = (number: number) => Buffer.alloc(FRAME_BYTES, number);

describe('the frame writer', () => {
  it('holds little memory for a peer that reads nothing', () => {
    const unread: Buffer[] = [];
    const writer = createFrameWriter((batch) => unread.push(batch));
    for (let number = 0; number < FRAMES; number++) {
      writer.add(numbered(number));
      writer.flush();
    }
    const held = new Set(unread.map(({ buffer }) => buffer));
    const heldBytes = [...held].reduce((sum, { byteLength }) => sum + byteLength, 0);
    assert.ok(heldBytes < MAX_HELD_BYTES, `${heldBytes} bytes for ${FRAMES * FRAME_BYTES}`);
    // None of it has been written over.
    assert.deepEqual(
      Buffer.concat(unread),
      Buffer.concat(Array.from({ length: FRAMES }, (_, index) => numbered(index))),
    );
    writer.close(numbered(0));
  });

  it('uses batches again when they have been read', () => {
    const buffers = new Set<ArrayBufferLike>();
    const writer = createFrameWriter((batch, done) => {
      buffers.add(batch.buffer);
      done();
    });
    for (let number = 0; number < FRAMES; number++) {
      writer.add(numbered(number));
      writer.flush();
    }
    assert.ok(buffers.size <= 2, `${buffers.size} batches`);
    writer.close(numbered(0));
  });

  it('sends its last frame, and nothing that had not left', () => {
    const written: Buffer[] = [];
    const writer = createFrameWriter((batch) => written.push(batch));
    writer.add(numbered(1));
    writer.flush();
    writer.add(numbered(2));
    writer.close(numbered(3));
    writer.add(numbered(4));
    writer.flush();
    assert.deepEqual(Buffer.concat(written), Buffer.concat([numbered(1), numbered(3)]));
  });
});
