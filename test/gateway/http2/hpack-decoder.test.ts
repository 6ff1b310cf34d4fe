import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createHpackDecoder, type HpackDecoder } from '../../../src/gateway/upstream/http2/hpack/decoder.ts';
import { HpackError } from '../../../src/gateway/upstream/http2/hpack/hpack-error.ts';
import { huffmanCodes } from '../../../src/gateway/upstream/http2/hpack/huffman.ts';
import { EOS } from '../../../src/gateway/upstream/http2/hpack/huffman-lengths.ts';
import { STATIC_TABLE } from '../../../src/gateway/upstream/http2/hpack/static-table.ts';
import { createHpackWriter, type Field, huffmanString, integer, type Manner } from './hpack-writer.ts';

const name = fc.oneof(
  fc.constantFrom(':status', 'content-type', 'grpc-status', 'date', 'x'),
  fc.string({ unit: fc.constantFrom(...'abc-12'), minLength: 1, maxLength: 40 }),
);
const latin1 = fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets).toString('latin1'));
const value = fc.oneof(fc.constantFrom('200', '0', '', 'application/grpc+proto'), latin1);
const manner: fc.Arbitrary<Manner> = fc.record({
  indexField: fc.boolean(),
  indexName: fc.boolean(),
  literal: fc.constantFrom('incremental', 'without', 'never'),
  huffmanName: fc.boolean(),
  huffmanValue: fc.boolean(),
});
const LITERAL: Manner = {
  indexField: false,
  indexName: false,
  literal: 'without',
  huffmanName: false,
  huffmanValue: false,
};
const tableSizeBytes = fc.oneof(fc.constantFrom(0, 31, 32, 4096, 65_536), fc.nat({ max: 600 }));
const block = fc.record({
  sizeUpdates: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 2 }),
  fields: fc.array(fc.tuple(fc.tuple(name, value), manner), { maxLength: 12 }),
});
const connection = fc.record({ tableSizeBytes, blocks: fc.array(block, { minLength: 1, maxLength: 6 }) });

describe('hpack decoder', () => {
  it('reads whatever forms an encoder chooses', () => {
    fc.assert(
      fc.property(connection, (sent) => {
        const decoder = createHpackDecoder(sent);
        for (const { bytes, fields, table } of written(sent)) {
          assert.deepEqual(read(decoder, bytes), fields);
          assert.deepEqual(tableOf(decoder), table);
        }
      }),
    );
  });

  it('reads a beginning of the fields, or fails, when a block is cut off', () => {
    fc.assert(
      fc.property(connection, (sent) => {
        const [first] = written(sent);
        const { bytes, fields } = first!;
        const whole = Buffer.from(bytes);
        for (let length = 0; length < bytes.length; length += 1) {
          const cut = readUntil(createHpackDecoder(sent), whole.subarray(0, length), length);
          assert.deepEqual(cut.fields, fields.slice(0, cut.fields.length));
          // What is behind the end of the block is not read.
          assert.deepEqual(readUntil(createHpackDecoder(sent), whole, length), cut);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('fails cleanly on any octets and keeps no more than it has announced', () => {
    const octets = fc.oneof(
      fc.uint8Array({ maxLength: 400 }).map((array) => [...array]),
      // Damaged blocks get further than noise does.
      fc.tuple(connection, fc.nat(), fc.nat({ max: 255 })).map(([sent, position, octet]) => {
        const bytes = written(sent).flatMap((one) => one.bytes);
        return bytes.length === 0 ? bytes : bytes.with(position % bytes.length, octet);
      }),
    );
    fc.assert(
      fc.property(fc.array(octets, { maxLength: 4 }), tableSizeBytes, (blocks, size) => {
        const decoder = createHpackDecoder({ tableSizeBytes: size });
        assertFailsOnlyWithHpackError(() => {
          for (const bytes of blocks) {
            read(decoder, bytes);
            const held = tableOf(decoder).reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
            assert.ok(held <= size, `${held} of ${size}`);
          }
        });
      }),
    );
  });

  it('keeps the newest entries, however many there were', () => {
    const tableSizeBytes = 200;
    const decoder = createHpackDecoder({ tableSizeBytes });
    const writer = createHpackWriter(tableSizeBytes);
    const manner: Manner = { ...LITERAL, literal: 'incremental' };
    read(decoder, writer.sizeUpdate(tableSizeBytes));
    for (let index = 0; index < 40; index += 1) {
      read(decoder, writer.field(['x', `${index}`], manner));
      assert.deepEqual(tableOf(decoder), writer.entries());
    }
  });

  it('has the default table until the peer says that it uses a larger one', () => {
    const decoder = createHpackDecoder({ tableSizeBytes: 65_536 });
    const fill = createHpackWriter(4096);
    const manner: Manner = { ...LITERAL, literal: 'incremental' };
    for (let index = 0; index < 100; index += 1) read(decoder, fill.field([`x-${index}`, 'v'.repeat(100)], manner));
    assert.deepEqual(tableOf(decoder), fill.entries());
    read(decoder, fill.sizeUpdate(65_536));
    for (let index = 0; index < 100; index += 1) read(decoder, fill.field([`y-${index}`, 'v'.repeat(100)], manner));
    assert.ok(fill.entries().length > 100);
    assert.deepEqual(tableOf(decoder), fill.entries());
  });

  it('refuses what is malformed, and says why', () => {
    const refuse = (bytes: number[], message: RegExp, tableSizeBytes = 4096) => {
      const decoder = createHpackDecoder({ tableSizeBytes });
      assert.throws(() => read(decoder, bytes), { name: 'HpackError', message });
    };
    refuse([0x80], /index 0/);
    refuse(integer(62, 7, 0x80), /no table entry 62/);
    refuse([...integer(62, 4, 0), 1, 0x61], /no table entry 62/);
    refuse([0x82, 0x20], /not at the beginning/);
    refuse(integer(4097, 5, 0x20), /exceeds/);
    refuse([0x82], /does not begin with the table size update/, 4095);
    refuse([0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], /larger than 31 bits/);
    refuse(integer(2 ** 31, 7, 0x80), /larger than 31 bits/);
    refuse(integer(2 ** 31 - 1, 7, 0x80), /no table entry 2147483647/);
    refuse([0xff, 0x80], /within an integer/);
    refuse([0x00], /before a string/);
    refuse([0x00, 0x02, 0x61], /within a string/);
  });

  it('holds Huffman strings to their rules', () => {
    const literal = (coded: number[]) => [0x00, 0x01, 0x61, ...integer(coded.length, 7, 0x80), ...coded];
    const decode = (coded: number[]) => read(createHpackDecoder({ tableSizeBytes: 4096 }), literal(coded))[0]![1];
    const refuse = (coded: number[], message: RegExp) =>
      assert.throws(() => decode(coded), { name: 'HpackError', message });
    // '0' is 00000, 'a' is 00011; '&' has eight bits, so that nothing is left to fill up.
    assert.equal(decode([0b00000_111]), '0');
    assert.equal(decode([0xf8]), '&');
    assert.equal(decode([]), '');
    refuse([0b00000_110], /padding/);
    refuse([0b00000_000], /padding/);
    refuse([0xf8, 0xff], /padding/);
    refuse(huffmanString([EOS]), /end-of-string/);
    refuse(huffmanString([0x30, EOS, 0x30]), /end-of-string/);
    assert.equal(decode(huffmanString(Array(70_000).fill(0x61))), 'a'.repeat(70_000));
  });

  it('has a complete prefix code, with the codes of RFC 7541, appendix B', () => {
    const codes = huffmanCodes();
    assert.equal(codes.length, 257);
    assert.equal(
      codes.reduce((sum, { length }) => sum + 2 ** -length, 0),
      1,
    );
    const samples = [
      [0x0a, 0x3ffffffc, 30],
      [0x30, 0x0, 5],
      [0x3c, 0x7ffc, 15],
      [0xf9, 0xffffffe, 28],
      [EOS, 0x3fffffff, 30],
    ];
    for (const [symbol, code, length] of samples) {
      assert.deepEqual(
        codes.find((entry) => entry.symbol === symbol),
        { symbol, code, length },
      );
    }
  });
});

interface Written {
  readonly bytes: number[];
  readonly fields: readonly Field[];
  /** The dynamic table after it. */
  readonly table: readonly Field[];
}

type Connection = typeof connection extends fc.Arbitrary<infer T> ? T : never;

function written({ tableSizeBytes, blocks }: Connection): Written[] {
  const writer = createHpackWriter(Math.min(4096, tableSizeBytes));
  return blocks.map(({ sizeUpdates, fields }, index) => {
    // What an encoder must say first when it is allowed less than the default.
    const sizes = index === 0 && tableSizeBytes < 4096 ? [1, ...sizeUpdates] : sizeUpdates;
    const updates = sizes.flatMap((part) => writer.sizeUpdate(Math.floor(part * tableSizeBytes)));
    const bytes = [...updates, ...fields.flatMap(([field, how]) => writer.field(field, how))];
    return { bytes, fields: fields.map(([field]) => field), table: writer.entries() };
  });
}

function read(decoder: HpackDecoder, bytes: readonly number[]): Field[] {
  const fields: Field[] = [];
  decoder.decode(Buffer.from(bytes), 0, bytes.length, (...field) => fields.push(field));
  return fields;
}

/** The fields of a block that may be cut off, and why there are no more. */
function readUntil(decoder: HpackDecoder, bytes: Buffer, end: number): { fields: Field[]; error?: string } {
  const fields: Field[] = [];
  try {
    decoder.decode(bytes, 0, end, (...field) => fields.push(field));
    return { fields };
  } catch (error) {
    assert.ok(error instanceof HpackError, String(error));
    return { fields, error: error.message };
  }
}

/** The dynamic table, read as a peer could: by asking for each index until there is no entry. */
function tableOf(decoder: HpackDecoder): Field[] {
  const table: Field[] = [];
  try {
    for (let index = STATIC_TABLE.length + 1; ; index += 1) table.push(...read(decoder, integer(index, 7, 0x80)));
  } catch (error) {
    assert.match(String(error), /no table entry/);
    return table;
  }
}

function assertFailsOnlyWithHpackError(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof HpackError)) throw error;
  }
}
