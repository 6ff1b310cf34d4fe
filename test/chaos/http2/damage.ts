import fc from 'fast-check';
import { FRAME_HEADER_BYTES, frame } from '../../support/h2-frames.ts';

/** One thing that goes wrong with the frames of a conversation. Positions are taken modulo what there is. */
export type Damage =
  | { readonly kind: 'flip'; readonly at: number; readonly byte: number; readonly bit: number }
  | { readonly kind: 'header'; readonly at: number; readonly byte: number; readonly value: number }
  | { readonly kind: 'cut'; readonly at: number; readonly bytes: number }
  | { readonly kind: 'length'; readonly at: number; readonly length: number }
  | { readonly kind: 'stream'; readonly at: number; readonly streamId: number }
  | { readonly kind: 'flags'; readonly at: number; readonly flags: number }
  | { readonly kind: 'type'; readonly at: number; readonly type: number }
  | { readonly kind: 'drop' | 'double'; readonly at: number }
  | { readonly kind: 'swap'; readonly at: number; readonly other: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly at: number };

const at = fc.nat(60);
const streamId = fc.oneof(fc.nat(16), fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 4_001));
const strayFrame = fc
  .record({
    type: fc.nat(11),
    flags: fc.nat(255),
    streamId,
    payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(new Uint8Array(4), new Uint8Array(8))),
  })
  .map(({ type, flags, streamId: id, payload }) => new Uint8Array(frame(type, flags, id, payload)));

export const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ kind: fc.constant('flip'), at, byte: fc.nat(300), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('header'), at, byte: fc.nat(FRAME_HEADER_BYTES - 1), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('cut'), at, bytes: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ kind: fc.constant('length'), at, length: fc.oneof(fc.nat(100), fc.nat(2 ** 24 - 1)) }),
  fc.record({ kind: fc.constant('stream'), at, streamId }),
  fc.record({ kind: fc.constant('flags'), at, flags: fc.nat(255) }),
  fc.record({ kind: fc.constant('type'), at, type: fc.nat(11) }),
  fc.record({ kind: fc.constantFrom('drop', 'double'), at }),
  fc.record({ kind: fc.constant('swap'), at, other: at }),
  fc.record({ kind: fc.constant('insert'), at, bytes: fc.oneof(strayFrame, fc.uint8Array({ maxLength: 60 })) }),
  fc.record({ kind: fc.constant('end'), at }),
);

/** The frames after all that damage, as what the server writes. */
export function damaged(frames: readonly Buffer[], damages: readonly Damage[]): Buffer[] {
  const result = frames.map((bytes) => Buffer.from(bytes));
  for (const one of damages) if (result.length > 0) apply(result, one);
  return result;
}

function apply(frames: Buffer[], one: Damage): void {
  const index = one.at % frames.length;
  const bytes = frames[index]!;
  switch (one.kind) {
    case 'flip':
      if (bytes.length > 0) bytes[one.byte % bytes.length]! ^= 1 << one.bit;
      break;
    case 'header':
      if (bytes.length > one.byte) bytes[one.byte] = one.value;
      break;
    case 'cut':
      frames[index] = bytes.subarray(0, Math.max(0, bytes.length - one.bytes));
      break;
    case 'length':
      if (bytes.length >= 3) bytes.writeUIntBE(one.length, 0, 3);
      break;
    case 'stream':
      if (bytes.length >= FRAME_HEADER_BYTES) bytes.writeUInt32BE(one.streamId, 5);
      break;
    case 'flags':
      if (bytes.length > 4) bytes[4] = one.flags;
      break;
    case 'type':
      if (bytes.length > 3) bytes[3] = one.type;
      break;
    case 'drop':
      frames.splice(index, 1);
      break;
    case 'double':
      frames.splice(index, 0, Buffer.from(bytes));
      break;
    case 'swap': {
      const other = one.other % frames.length;
      frames[index] = frames[other]!;
      frames[other] = bytes;
      break;
    }
    case 'insert':
      frames.splice(index, 0, Buffer.from(one.bytes));
      break;
    case 'end':
      frames.length = index;
  }
}
