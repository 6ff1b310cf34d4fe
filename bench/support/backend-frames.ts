import { NO_DYNAMIC_TABLE } from '../../src/gateway/upstream/http2/hpack/encoder.ts';

// HTTP/2 frames (RFC 9113) as the backend of the benchmark writes them.

export const FRAME = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export const SETTING = { headerTableSize: 1, initialWindowSize: 4 } as const;

export const FRAME_HEAD_BYTES = 9;
/** What every peer takes in one frame. */
export const MAX_FRAME_BYTES = 16_384;
export const DEFAULT_WINDOW_BYTES = 65_535;
export const MAX_WINDOW_BYTES = 2 ** 31 - 1;
export const DEFAULT_TABLE_BYTES = 4_096;

/** Returns the offset behind it. */
export function writeFrameHead(
  target: Buffer,
  offset: number,
  bytes: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  target.writeUIntBE(bytes, offset, 3);
  target[offset + 3] = type;
  target[offset + 4] = flags;
  target.writeUInt32BE(streamId, offset + 5);
  return offset + FRAME_HEAD_BYTES;
}

/** A message as its DATA frames, which lack the id of their stream. */
export function toDataFrames(message: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < message.length; at += MAX_FRAME_BYTES) {
    const part = message.subarray(at, at + MAX_FRAME_BYTES);
    const frame = Buffer.alloc(FRAME_HEAD_BYTES + part.length);
    frame.set(part, writeFrameHead(frame, 0, part.length, FRAME.data, 0, 0));
    frames.push(frame);
  }
  return Buffer.concat(frames);
}

/** Copies frames of `toDataFrames` and says whose they are. Returns the offset behind them. */
export function writeDataFrames(target: Buffer, offset: number, frames: Buffer, streamId: number): number {
  target.set(frames, offset);
  const end = offset + frames.length;
  // All but the last are as large as they may be.
  for (let at = offset; at < end; at += FRAME_HEAD_BYTES + MAX_FRAME_BYTES) target.writeUInt32BE(streamId, at + 5);
  return end;
}

const STATUS_200 = 0x88;
const CONTENT_TYPE_INDEX = 31;
const WITHOUT_INDEXING = 0x00;
const WITH_INDEXING = 0x40;
const INDEXED = 0x80;
const FIRST_DYNAMIC_INDEX = 62;
const GRPC_CONTENT_TYPE = 'application/grpc+proto';

/**
 * The field blocks of one connection's answers. As grpc-go does, it puts what repeats into the dynamic table, unless
 * the peer's is smaller than usual: then it uses none, and says so first.
 */
export function createFieldBlocks() {
  let usesTable = true;
  let reductionDue = false;
  let hasType = false;
  let hasStatus = false;

  const begin = (): number[] => {
    if (!reductionDue) return [];
    reductionDue = false;
    return [NO_DYNAMIC_TABLE];
  };
  const typeLiteral = (form: number, mask: number) => [
    ...(CONTENT_TYPE_INDEX < mask ? [form | CONTENT_TYPE_INDEX] : [form | mask, CONTENT_TYPE_INDEX - mask]),
    ...text(GRPC_CONTENT_TYPE),
  ];
  const statusLiteral = (form: number, status: string) => [form, ...text('grpc-status'), ...text(status)];
  const plainType = typeLiteral(WITHOUT_INDEXING, 0x0f);

  return {
    /** What the peer's SETTINGS say of its table. */
    setPeerTable(bytes: number): void {
      if (bytes >= DEFAULT_TABLE_BYTES || !usesTable) return;
      usesTable = false;
      reductionDue = true;
    },

    headers(): readonly number[] {
      if (!usesTable) return [...begin(), STATUS_200, ...plainType];
      if (hasType) return hasStatus ? TYPE_AND_STATUS_KNOWN : TYPE_KNOWN;
      hasType = true;
      return [STATUS_200, ...typeLiteral(WITH_INDEXING, 0x3f)];
    },

    /** Of an answer that is good. Its headers went before. */
    trailers(): readonly number[] {
      if (!usesTable) return [...begin(), ...statusLiteral(WITHOUT_INDEXING, '0')];
      if (hasStatus) return STATUS_KNOWN;
      hasStatus = true;
      return statusLiteral(WITH_INDEXING, '0');
    },

    /** An answer that is nothing but trailers. */
    refusal: (status: string) => [...begin(), STATUS_200, ...plainType, ...statusLiteral(WITHOUT_INDEXING, status)],
  };
}

// The one that came last has the first index.
const TYPE_KNOWN = [STATUS_200, INDEXED | FIRST_DYNAMIC_INDEX];
const TYPE_AND_STATUS_KNOWN = [STATUS_200, INDEXED | (FIRST_DYNAMIC_INDEX + 1)];
const STATUS_KNOWN = [INDEXED | FIRST_DYNAMIC_INDEX];

function text(value: string): number[] {
  return [value.length, ...Buffer.from(value, 'latin1')];
}
