import { createDynamicTable } from './dynamic-table.ts';
import { HpackError } from './hpack-error.ts';
import { decodedLimit, decodeHuffman } from './huffman.ts';
import { STATIC_TABLE } from './static-table.ts';

/** What a peer may use before it has heard of our setting (RFC 9113, section 6.5.2). */
const DEFAULT_TABLE_SIZE_BYTES = 4096;
const MAX_INTEGER = 2 ** 31 - 1;
const SCRATCH_BYTES = 4096;

export interface HpackDecoder {
  /**
   * One whole field block: `bytes` from `start` to `end`, which are not kept. Calls `onField` for each of its fields in their
   * order; names and values are one character per octet (ISO 8859-1) and not checked. Throws HpackError, after which
   * this decoder must not be used again.
   */
  decode(bytes: Buffer, start: number, end: number, onField: (name: string, value: string) => void): void;
}

/** For the field blocks of one connection (RFC 7541). `tableSizeBytes` is what we announce as SETTINGS_HEADER_TABLE_SIZE. */
export function createHpackDecoder({ tableSizeBytes }: { readonly tableSizeBytes: number }): HpackDecoder {
  const table = createDynamicTable(tableSizeBytes, Math.min(tableSizeBytes, DEFAULT_TABLE_SIZE_BYTES));
  const scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  // A peer that we allow less than the default has to say that it goes along (RFC 9113, section 4.3.1).
  let reductionDue = tableSizeBytes < DEFAULT_TABLE_SIZE_BYTES;
  let bytes = scratch;
  let at = 0;
  let end = 0;

  function readInteger(prefixMask: number): number {
    let value = bytes[at++]! & prefixMask;
    if (value < prefixMask) return value;
    for (let unit = 1; unit <= 2 ** 28; unit *= 128) {
      if (at >= end) throw new HpackError('a field block ends within an integer');
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * unit;
      if (value > MAX_INTEGER) break;
      if (byte < 0x80) return value;
    }
    throw new HpackError('an integer is larger than 31 bits');
  }

  function readString(): string {
    if (at >= end) throw new HpackError('a field block ends before a string');
    const isHuffman = bytes[at]! >= 0x80;
    const length = readInteger(0x7f);
    const start = at;
    if (length > end - start) throw new HpackError('a field block ends within a string');
    at += length;
    if (!isHuffman) return bytes.toString('latin1', start, at);
    const limit = decodedLimit(length);
    const target = limit <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafeSlow(limit);
    return target.toString('latin1', 0, decodeHuffman(bytes, start, at, target));
  }

  function nameAt(index: number): string {
    if (index <= STATIC_TABLE.length) return STATIC_TABLE[index - 1]![0];
    return table.name(dynamicIndex(index));
  }

  function valueAt(index: number): string {
    if (index <= STATIC_TABLE.length) return STATIC_TABLE[index - 1]![1];
    return table.value(dynamicIndex(index));
  }

  function dynamicIndex(index: number): number {
    const dynamic = index - STATIC_TABLE.length - 1;
    if (dynamic >= table.length) throw new HpackError(`there is no table entry ${index}`);
    return dynamic;
  }

  function readSizeUpdates(): void {
    while (at < end && (bytes[at]! & 0xe0) === 0x20) {
      const sizeBytes = readInteger(0x1f);
      if (sizeBytes > tableSizeBytes) throw new HpackError('a table size update exceeds what we have announced');
      table.resize(sizeBytes);
      reductionDue = false;
    }
    if (reductionDue) throw new HpackError('a field block does not begin with the table size update that it must');
  }

  function readField(onField: (name: string, value: string) => void): void {
    const first = bytes[at]!;
    if (first >= 0x80) {
      const index = readInteger(0x7f);
      if (index === 0) throw new HpackError('an indexed field has the index 0');
      onField(nameAt(index), valueAt(index));
      return;
    }
    const joinsTable = first >= 0x40;
    if (!joinsTable && first >= 0x20) throw new HpackError('a table size update is not at the beginning of its block');
    // The other two forms, "without indexing" and "never indexed", differ only for those who pass fields on.
    const index = readInteger(joinsTable ? 0x3f : 0x0f);
    const name = index === 0 ? readString() : nameAt(index);
    const value = readString();
    if (joinsTable) table.add(name, value);
    onField(name, value);
  }

  return {
    decode(block, blockStart, blockEnd, onField) {
      bytes = block;
      at = blockStart;
      end = blockEnd;
      try {
        readSizeUpdates();
        while (at < end) readField(onField);
      } finally {
        bytes = scratch;
      }
    },
  };
}
