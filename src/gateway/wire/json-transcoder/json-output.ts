import { isUtf8 } from 'node:buffer';
import { createRfc3339Writer, RFC3339_BYTES } from './rfc3339-text.ts';

const INITIAL_BYTES = 64 * 1024;
/** A larger text takes its memory with it. */
const KEPT_BYTES = 1024 * 1024;
/** Of a string, for which room is made at once. */
const PIECE_BYTES = 4096;
/** The longest that becomes of one octet: \u001f. */
const MAX_ESCAPE_BYTES = 6;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const ZERO = 0x30;

export const OBJECT: Brackets = [0x7b, 0x7d];
export const ARRAY: Brackets = [0x5b, 0x5d];
type Brackets = readonly [opening: number, closing: number];

export type JsonOutput = ReturnType<typeof createJsonOutput>;

/**
 * JSON text in the making, in UTF-8. What is written to it must be written as JSON.stringify would. Members and elements
 * are begun with a comma; `enclose` turns the first one into the bracket.
 */
export function createJsonOutput() {
  const escapes = escapesByOctet();
  const writeRfc3339 = createRfc3339Writer();
  let bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  let view = new DataView(bytes.buffer);
  let length = 0;

  function reserve(sizeBytes: number): void {
    if (bytes.length - length >= sizeBytes) return;
    const larger = Buffer.allocUnsafeSlow(2 * bytes.length + sizeBytes);
    bytes.copy(larger, 0, 0, length);
    bytes = larger;
    view = new DataView(bytes.buffer);
  }

  function octet(value: number): void {
    reserve(1);
    bytes[length++] = value;
  }

  function constant(text: Uint8Array): void {
    reserve(text.length);
    const target = bytes;
    const start = length;
    for (let at = 0; at < text.length; at += 1) target[start + at] = text[at]!;
    length = start + text.length;
  }

  function ascii(text: string): void {
    reserve(text.length);
    const target = bytes;
    const start = length;
    for (let at = 0; at < text.length; at += 1) target[start + at] = text.charCodeAt(at);
    length = start + text.length;
  }

  return {
    octet,
    constant,
    ascii,

    /** Makes room for so many bytes at once: to grow step by step touches, and copies, twice as much memory. */
    reserve,

    /** A number that is finite. */
    number(value: number): void {
      if (value >= 0 && value <= 9 && Number.isInteger(value)) octet(ZERO + value);
      else ascii(String(value));
    },

    /** A time, given in seconds since 1970, below the year 10000, and nanoseconds, below a second. */
    time(seconds: number, nanos: number): void {
      reserve(RFC3339_BYTES + 2);
      bytes[length] = QUOTE;
      writeRfc3339(bytes, length + 1, seconds, nanos);
      length += RFC3339_BYTES + 2;
      bytes[length - 1] = QUOTE;
    },

    /**
     * The string whose UTF-8 is in `source`, of which `sourceView` is a view, from `start` to `end`. False when it is not
     * UTF-8. Four octets at a time as long as none of them needs a closer look, which takes half the time: 10 % of a list.
     */
    string(source: Uint8Array, sourceView: DataView, start: number, end: number): boolean {
      octet(QUOTE);
      let seen = 0;
      for (let from = start; from < end; from += PIECE_BYTES) {
        reserve(PIECE_BYTES * MAX_ESCAPE_BYTES);
        const to = Math.min(from + PIECE_BYTES, end);
        const target = bytes;
        const targetView = view;
        let written = length;
        let at = from;
        for (; at + 4 <= to; at += 4) {
          const word = sourceView.getInt32(at, true);
          if (!isPlain(word)) break;
          targetView.setInt32(written, word, true);
          written += 4;
        }
        for (; at < to; at += 1) {
          const value = source[at]!;
          seen |= value;
          if (value >= SPACE && value !== QUOTE && value !== BACKSLASH) target[written++] = value;
          else for (const part of escapes[value]!) target[written++] = part;
        }
        length = written;
      }
      octet(QUOTE);
      return seen < 0x80 || isUtf8(source.subarray(start, end));
    },

    /** Where the next byte will be. */
    position: () => length,

    /** Takes back what came after a position. */
    rewind(position: number): void {
      length = position;
    },

    /** Puts what came after a position in brackets. */
    enclose(position: number, [opening, closing]: Brackets): void {
      if (position === length) octet(opening);
      else bytes[position] = opening;
      octet(closing);
    },

    /** The whole text; the next one begins. A large one is given away with its memory, all others are copied. */
    take(): Buffer {
      const whole = bytes.subarray(0, length);
      length = 0;
      if (bytes.length <= KEPT_BYTES) return Buffer.from(whole);
      bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
      view = new DataView(bytes.buffer);
      return whole;
    },
  };
}

/**
 * Whether none of four octets is below a space, a quote, a backslash or beyond ASCII. Of a word w, (w - n) & ~w has the top bit
 * of each octet that is below n, as long as none borrows from the next one: then it is wrong only above one that counts.
 */
function isPlain(word: number): boolean {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  const found =
    word |
    ((word - 0x20202020) & ~word) |
    ((quotes - 0x01010101) & ~quotes) |
    ((backslashes - 0x01010101) & ~backslashes);
  return (found & 0x80808080) === 0;
}

/** What becomes of the octets that cannot be in a JSON string as they are. */
function escapesByOctet(): readonly (Uint8Array | undefined)[] {
  return Array.from({ length: 256 }, (_, octet) => {
    const text = JSON.stringify(String.fromCharCode(octet)).slice(1, -1);
    return text.length === 1 ? undefined : Buffer.from(text);
  });
}
