import { type Cursor, UNUSUAL } from './protobuf-cursor.ts';

/** Keys in one map; each new one is compared with the others. */
const MAX_KEYS = 32;

/**
 * Watches over the keys of maps, of which one may be inside another. In JavaScript, a key that comes again keeps its first
 * place, and whole numbers come before all other keys. Such maps are unusual.
 */
export function createMapKeys(cursor: Cursor) {
  // Where the keys of the open maps begin and end.
  const starts: number[] = [];
  const ends: number[] = [];
  let length = 0;

  function isSame(index: number, start: number, end: number): boolean {
    const { bytes } = cursor;
    const other = starts[index]!;
    if (ends[index]! - other !== end - start) return false;
    for (let at = start; at < end; at += 1) if (bytes[at] !== bytes[other + at - start]) return false;
    return true;
  }

  function isNumber(start: number, end: number): boolean {
    for (let at = start; at < end; at += 1) if (!isDigit(cursor.bytes[at]!)) return false;
    return end > start;
  }

  return {
    /** What to give to `add` and `close` of a new map. */
    open: () => length,
    add(map: number, start: number, end: number): void {
      if (length - map === MAX_KEYS || isNumber(start, end)) throw UNUSUAL;
      for (let index = map; index < length; index += 1) if (isSame(index, start, end)) throw UNUSUAL;
      starts[length] = start;
      ends[length] = end;
      length += 1;
    },
    close(map: number): void {
      length = map;
    },
  };
}

export type MapKeys = ReturnType<typeof createMapKeys>;

function isDigit(octet: number): boolean {
  return octet >= 0x30 && octet <= 0x39;
}
