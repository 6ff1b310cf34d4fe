/** A place in protobuf's wire format (protobuf.dev/programming-guides/encoding). */
export interface Cursor {
  bytes: Buffer;
  /** The same bytes. */
  view: DataView;
  at: number;
}

/**
 * Thrown for what no serializer writes, though decoders may accept it, and for what is not protobuf at all: the caller
 * leaves both to the plain mapping. No Error, because nobody asks where it was thrown.
 */
export const UNUSUAL = Symbol('unusual protobuf');

export const VARINT = 0;
export const BIT64 = 1;
export const LENGTH_DELIMITED = 2;
export const BIT32 = 5;

const MAX_UINT32 = 2 ** 32 - 1;
/** Seven octets: what is longer may be more than a number holds. */
const MAX_VARINT_UNIT = 2 ** 42;

/** A whole number below 2^49. */
export function readVarint(cursor: Cursor): number {
  const first = cursor.bytes[cursor.at++]!;
  return first < 0x80 ? first : readLongVarint(cursor, first);
}

function readLongVarint(cursor: Cursor, first: number): number {
  let value = first & 0x7f;
  for (let unit = 0x80; unit <= MAX_VARINT_UNIT; unit *= 0x80) {
    const octet = cursor.bytes[cursor.at++]!;
    value += (octet & 0x7f) * unit;
    // Not so behind the end either, where there is no octet.
    if (octet < 0x80) return value;
  }
  throw UNUSUAL;
}

export function readUint32(cursor: Cursor): number {
  const value = readVarint(cursor);
  if (value > MAX_UINT32) throw UNUSUAL;
  return value;
}

/** Moves the cursor from a length to what has it, and returns its end. */
export function readLength(cursor: Cursor): number {
  const end = readVarint(cursor) + cursor.at;
  if (end > cursor.bytes.length) throw UNUSUAL;
  return end;
}

export function readFloat(cursor: Cursor): number {
  if (cursor.at + 4 > cursor.bytes.length) throw UNUSUAL;
  const value = cursor.view.getFloat32(cursor.at, true);
  cursor.at += 4;
  return value;
}

export function readDouble(cursor: Cursor): number {
  if (cursor.at + 8 > cursor.bytes.length) throw UNUSUAL;
  const value = cursor.view.getFloat64(cursor.at, true);
  cursor.at += 8;
  return value;
}

/** Moves the cursor past this one octet, if it is there. */
export function skipTag(cursor: Cursor, tag: number, end: number): boolean {
  if (cursor.at === end || cursor.bytes[cursor.at] !== tag) return false;
  cursor.at += 1;
  return true;
}

/** Moves the cursor behind a value. */
export function skipValue(cursor: Cursor, wireType: number): void {
  if (wireType === LENGTH_DELIMITED) cursor.at = readLength(cursor);
  else if (wireType === VARINT) skipVarint(cursor);
  else if (wireType === BIT64) cursor.at += 8;
  else if (wireType === BIT32) cursor.at += 4;
  else throw UNUSUAL;
}

function skipVarint(cursor: Cursor): void {
  while (cursor.bytes[cursor.at++]! >= 0x80);
}

/** The cursor must be exactly there: messages that reach into what follows them are unusual. */
export function expectEnd(cursor: Cursor, end: number): void {
  if (cursor.at !== end) throw UNUSUAL;
}
