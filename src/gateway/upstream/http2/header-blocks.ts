import { ConnectionError } from './errors.ts';
import { FLAGS, FRAMES } from './frames.ts';
import { createHpackDecoder } from './hpack/decoder.ts';

/** Field names and values in turn, as node:http has its rawHeaders. */
export type Fields = readonly string[];

/** A field section with what is wrong with it, if anything: RFC 9113, sections 8.1.1 and 10.5.1. */
export interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly fields: Fields;
  readonly fault: 'malformed' | 'too large' | undefined;
}

/** What we announce by not saying anything else: RFC 9113, section 6.5.2. */
const TABLE_BYTES = 4096;
/** What a field counts besides its characters (RFC 9113, section 6.5.2). */
const FIELD_OVERHEAD_BYTES = 32;
/** Compressed blocks that are longer, or in more pieces, are an attack: nobody can skip one, because it changes the table. */
const MAX_BLOCK_BYTES = 262_144;
const MAX_FRAGMENTS = 256;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Section 8.2.1. */
const FORBIDDEN_IN_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;
/** Fields that HTTP/2 has no use for: section 8.2.2. */
const CONNECTION_FIELDS = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade']);

/**
 * Puts header blocks together from HEADERS and CONTINUATION, and decodes them: each one, also of streams that nobody waits
 * for, because it changes the table. Throws a ConnectionError.
 */
export function createHeaderBlocks(maxListBytes: number, onBlock: (block: HeaderBlock) => void) {
  const decoder = createHpackDecoder({ tableSizeBytes: TABLE_BYTES });
  let fields: string[] = [];
  let listBytes = 0;
  let isMalformed = false;
  let open: { streamId: number; endStream: boolean; fragments: Buffer[]; bytes: number } | undefined;

  function onField(name: string, value: string): void {
    listBytes += name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (listBytes > maxListBytes) return;
    // The one pseudo-field of an answer comes before all others (section 8.3).
    const isGood = name === ':status' ? fields.length === 0 : FIELD_NAME.test(name) && !CONNECTION_FIELDS.has(name);
    if (!isGood || FORBIDDEN_IN_VALUE.test(value)) isMalformed = true;
    fields.push(name, value);
  }

  function decode(streamId: number, endStream: boolean, bytes: Buffer, start: number, end: number): void {
    fields = [];
    listBytes = 0;
    isMalformed = false;
    try {
      decoder.decode(bytes, start, end, onField);
    } catch (error) {
      throw new ConnectionError('COMPRESSION_ERROR', (error as Error).message);
    }
    const isTooLarge = listBytes > maxListBytes;
    onBlock({ streamId, endStream, fields, fault: isTooLarge ? 'too large' : isMalformed ? 'malformed' : undefined });
  }

  return {
    /** The stream whose block must go on with the next frame; undefined when there is none. */
    openStream: (): number | undefined => open?.streamId,

    headers(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
      const endStream = (flags & FLAGS.END_STREAM) !== 0;
      let [from, to] = unpad(FRAMES.HEADERS, flags, bytes, start, end);
      if (flags & FLAGS.PRIORITY) from += 5;
      if (from > to) throw new ConnectionError('FRAME_SIZE_ERROR', 'HEADERS that end within their priority');
      if (flags & FLAGS.END_HEADERS) decode(streamId, endStream, bytes, from, to);
      else open = { streamId, endStream, fragments: [Buffer.from(bytes.subarray(from, to))], bytes: to - from };
    },

    continuation(flags: number, bytes: Buffer, start: number, end: number): void {
      const block = open!;
      block.fragments.push(Buffer.from(bytes.subarray(start, end)));
      block.bytes += end - start;
      if (block.bytes > MAX_BLOCK_BYTES || block.fragments.length > MAX_FRAGMENTS) {
        throw new ConnectionError('ENHANCE_YOUR_CALM', 'a header block without an end');
      }
      if (!(flags & FLAGS.END_HEADERS)) return;
      open = undefined;
      decode(block.streamId, block.endStream, Buffer.concat(block.fragments), 0, block.bytes);
    },
  };
}

/** Where the payload of a frame that may be padded begins and ends (RFC 9113, section 6.1). */
export function unpad(type: number, flags: number, bytes: Buffer, start: number, end: number): [number, number] {
  if (!(flags & FLAGS.PADDED)) return [start, end];
  const from = start + 1;
  const to = end - (bytes[start] ?? 0);
  if (from > end) throw new ConnectionError('FRAME_SIZE_ERROR', 'a padded frame without a length of its padding');
  if (from > to) throw new ConnectionError('PROTOCOL_ERROR', `more padding than there is frame, in type ${type}`);
  return [from, to];
}

/** The first value of a field. */
export function fieldValue(fields: Fields, name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] === name) return fields[at + 1];
  }
  return undefined;
}
