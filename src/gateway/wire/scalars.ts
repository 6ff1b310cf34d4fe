import type { Timestamp } from '@bufbuild/protobuf/wkt';

// The years that RFC 3339 can write, in seconds since 1970.
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;

/** RFC 3339 in UTC with milliseconds; undefined when unset or outside the years 1 to 9999. */
export function rfc3339(timestamp: Timestamp | undefined): string | undefined {
  if (!timestamp || timestamp.seconds < FIRST_SECOND || timestamp.seconds > LAST_SECOND) return undefined;
  return new Date(milliseconds(timestamp)).toISOString();
}

/** Since 1970, rounded down; undefined when unset. */
export function milliseconds(timestamp: Timestamp): number;
export function milliseconds(timestamp: Timestamp | undefined): number | undefined;
export function milliseconds(timestamp: Timestamp | undefined): number | undefined {
  return timestamp && Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1e6);
}

/** Undefined for NaN and the infinities, which JSON has no number for. */
export function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
