/** HTTP/2 frames as bytes (RFC 9113, section 6), good and bad ones alike: nothing here is checked. */

export const FRAME = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goAway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const FLAG = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const SETTING = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
} as const;

export const ERROR = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const FRAME_HEADER_BYTES = 9;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export type Fields = readonly (readonly [name: string, value: string])[];

/** `length` says something else than the truth. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array, length?: number): Buffer {
  const head = Buffer.alloc(FRAME_HEADER_BYTES);
  head.writeUIntBE(length ?? payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId >>> 0, 5);
  return Buffer.concat([head, payload]);
}

/** The first whole frame from `offset` on, and where the next one begins; undefined when it is not there yet. */
export function readFrame(bytes: Buffer, offset: number): { frame: Frame; end: number } | undefined {
  if (bytes.length - offset < FRAME_HEADER_BYTES) return undefined;
  const start = offset + FRAME_HEADER_BYTES;
  const end = start + bytes.readUIntBE(offset, 3);
  if (bytes.length < end) return undefined;
  const streamId = bytes.readUInt32BE(offset + 5) & 0x7fffffff;
  const read = { type: bytes[offset + 3]!, flags: bytes[offset + 4]!, streamId, payload: bytes.subarray(start, end) };
  return { frame: read, end };
}

interface FrameOptions {
  /** END_STREAM. */
  readonly end?: boolean;
  /** Bytes of padding. */
  readonly pad?: number;
}

export function data(streamId: number, payload: Uint8Array, { end = false, pad }: FrameOptions = {}): Buffer {
  return frame(FRAME.data, flagsFor(end, pad), streamId, padded(payload, pad));
}

/** `more`: CONTINUATION frames follow. `priority`: five bytes about it come first. */
export function headers(
  streamId: number,
  block: Uint8Array | Fields,
  { end = false, pad, more = false, priority = false }: FrameOptions & { more?: boolean; priority?: boolean } = {},
): Buffer {
  const bytes = block instanceof Uint8Array ? block : headerBlock(block);
  const fragment = priority ? Buffer.concat([Buffer.from([0, 0, 0, 0, 15]), bytes]) : bytes;
  const flags = flagsFor(end, pad) | (more ? 0 : FLAG.endHeaders) | (priority ? FLAG.priority : 0);
  return frame(FRAME.headers, flags, streamId, padded(fragment, pad));
}

export function continuation(streamId: number, block: Uint8Array, { more = false } = {}): Buffer {
  return frame(FRAME.continuation, more ? 0 : FLAG.endHeaders, streamId, block);
}

export const rstStream = (streamId: number, code: number) => frame(FRAME.rstStream, 0, streamId, uint32(code));
export const windowUpdate = (streamId: number, bytes: number) => frame(FRAME.windowUpdate, 0, streamId, uint32(bytes));
export const settingsAck = () => frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0));
export const ping = (opaque: Uint8Array, { ack = false } = {}) => frame(FRAME.ping, ack ? FLAG.ack : 0, 0, opaque);

export function settings(values: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(values.length * 6);
  for (const [index, [id, value]] of values.entries()) {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return frame(FRAME.settings, 0, 0, payload);
}

export function goAway(lastStreamId: number, code: number, debug = ''): Buffer {
  return frame(FRAME.goAway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from(debug)]));
}

/** RFC 7541, section 6.2.2: every field written out, which changes no table. */
export function headerBlock(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), hpackText(name), hpackText(value)]));
}

function hpackText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([hpackLength(bytes.length), bytes]);
}

/** RFC 7541, section 5.1: an integer after one bit of something else, which is 0. */
function hpackLength(length: number): Buffer {
  if (length < 127) return Buffer.from([length]);
  const bytes = [127];
  let rest = length - 127;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

function flagsFor(end: boolean, pad: number | undefined): number {
  return (end ? FLAG.endStream : 0) | (pad === undefined ? 0 : FLAG.padded);
}

function padded(payload: Uint8Array, pad: number | undefined): Buffer {
  if (pad === undefined) return Buffer.from(payload);
  return Buffer.concat([Buffer.from([pad]), payload, Buffer.alloc(pad)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
