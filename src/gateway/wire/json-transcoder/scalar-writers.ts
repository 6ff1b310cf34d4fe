import type { JsonOutput } from './json-output.ts';
import {
  type Cursor,
  expectEnd,
  readDouble,
  readFloat,
  readLength,
  readVarint,
  skipTag,
  UNUSUAL,
} from './protobuf-cursor.ts';

/** The last second of the year 9999, since 1970. */
const LAST_SECOND = 253_402_300_799;
const LAST_NANOSECOND = 999_999_999;
const TIMESTAMP_SECONDS = 0x08;
const TIMESTAMP_NANOS = 0x10;

export function writeString(cursor: Cursor, output: JsonOutput): void {
  writeText(cursor, output, readLength(cursor));
}

/** A string, of which the cursor is behind the length. */
export function writeText(cursor: Cursor, output: JsonOutput, end: number): void {
  if (!output.string(cursor.bytes, cursor.view, cursor.at, end)) throw UNUSUAL;
  cursor.at = end;
}

export function writeBool(cursor: Cursor, output: JsonOutput): void {
  output.ascii(readVarint(cursor) === 0 ? 'false' : 'true');
}

/** Seven digits, which is what a float holds; 0 for what JSON has no number for. */
export function writeFloat(cursor: Cursor, output: JsonOutput): void {
  const value = readFloat(cursor);
  output.number(Number.isFinite(value) ? sevenDigits(value) : 0);
}

/** `Number(value.toPrecision(7))`. A float times 10^7 is exact, as each has 24 bits. */
function sevenDigits(value: number): number {
  if (value === 0 || value === 1) return value;
  return value >= 0.1 && value < 1 ? Math.round(value * 1e7) / 1e7 : Number(value.toPrecision(7));
}

/** False for what JSON has no number for. */
export function writeDouble(cursor: Cursor, output: JsonOutput): boolean {
  const value = readDouble(cursor);
  if (!Number.isFinite(value)) return false;
  output.number(value);
  return true;
}

/** A google.protobuf.Timestamp, as RFC 3339 in UTC with milliseconds. Those before 1970 are unusual. */
export function writeTimestamp(cursor: Cursor, output: JsonOutput): void {
  const end = readLength(cursor);
  const seconds = skipTag(cursor, TIMESTAMP_SECONDS, end) ? readVarint(cursor) : 0;
  const nanos = skipTag(cursor, TIMESTAMP_NANOS, end) ? readVarint(cursor) : 0;
  expectEnd(cursor, end);
  if (seconds > LAST_SECOND || nanos > LAST_NANOSECOND) throw UNUSUAL;
  output.time(seconds, nanos);
}
