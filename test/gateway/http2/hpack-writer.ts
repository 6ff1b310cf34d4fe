import { huffmanCodes } from '../../../src/gateway/upstream/http2/hpack/huffman.ts';
import { STATIC_TABLE } from '../../../src/gateway/upstream/http2/hpack/static-table.ts';

export type Field = readonly [name: string, value: string];

/** How one field is to be written: the best index that fits, in one of the three literal forms, with or without Huffman. */
export interface Manner {
  readonly indexField: boolean;
  readonly indexName: boolean;
  readonly literal: 'incremental' | 'without' | 'never';
  readonly huffmanName: boolean;
  readonly huffmanValue: boolean;
}

const LITERALS = { incremental: [0x40, 6], without: [0x00, 4], never: [0x10, 4] } as const;

/** An HPACK encoder (RFC 7541) that uses every form there is, as it is told to. */
export function createHpackWriter(tableSizeBytes: number) {
  let sizeBytes = tableSizeBytes;
  let entries: Field[] = [];

  function fit(): void {
    let used = 0;
    const firstTooMany = entries.findIndex(([name, value]) => {
      used += name.length + value.length + 32;
      return used > sizeBytes;
    });
    if (firstTooMany >= 0) entries = entries.slice(0, firstTooMany);
  }

  function indexOf(matches: (field: Field) => boolean): number {
    // The dynamic table first, so that it is used where both have the name.
    const dynamic = entries.findIndex(matches);
    return dynamic >= 0 ? STATIC_TABLE.length + 1 + dynamic : STATIC_TABLE.findIndex(matches) + 1;
  }

  return {
    entries: (): readonly Field[] => entries,
    sizeUpdate(bytes: number): number[] {
      sizeBytes = bytes;
      fit();
      return integer(bytes, 5, 0x20);
    },
    field([name, value]: Field, manner: Manner): number[] {
      const whole = manner.indexField ? indexOf((entry) => entry[0] === name && entry[1] === value) : 0;
      if (whole > 0) return integer(whole, 7, 0x80);
      const index = manner.indexName ? indexOf((entry) => entry[0] === name) : 0;
      const [pattern, prefixBits] = LITERALS[manner.literal];
      if (manner.literal === 'incremental') {
        entries = [[name, value], ...entries];
        fit();
      }
      const writtenName = index > 0 ? [] : string(name, manner.huffmanName);
      return [...integer(index, prefixBits, pattern), ...writtenName, ...string(value, manner.huffmanValue)];
    },
  };
}

export function integer(value: number, prefixBits: number, pattern: number): number[] {
  const mask = 2 ** prefixBits - 1;
  if (value < mask) return [pattern | value];
  const bytes = [pattern | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(0x80 | (rest % 128));
  return [...bytes, rest];
}

function string(text: string, huffman: boolean): number[] {
  const octets = [...Buffer.from(text, 'latin1')];
  const coded = huffman ? huffmanString(octets) : octets;
  return [...integer(coded.length, 7, huffman ? 0x80 : 0), ...coded];
}

const CODES = new Map(
  huffmanCodes().map(({ symbol, code, length }) => [symbol, code.toString(2).padStart(length, '0')]),
);

/** The codes of these symbols as octets, filled up with ones. */
export function huffmanString(symbols: readonly number[]): number[] {
  const bits = symbols.map((symbol) => CODES.get(symbol)!).join('');
  return (bits.match(/.{1,8}/g) ?? []).map((octet) => Number.parseInt(octet.padEnd(8, '1'), 2));
}
