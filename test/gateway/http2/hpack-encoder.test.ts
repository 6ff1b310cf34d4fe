import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createHpackDecoder } from '../../../src/gateway/upstream/http2/hpack/decoder.ts';
import {
  encodedLength,
  encodeFields,
  NO_DYNAMIC_TABLE,
  writeField,
} from '../../../src/gateway/upstream/http2/hpack/encoder.ts';
import { STATIC_TABLE } from '../../../src/gateway/upstream/http2/hpack/static-table.ts';

const token = fc.string({ unit: fc.constantFrom(..."abcxyz019-_.!#$%&'*+^`|~"), minLength: 1, maxLength: 300 });
const name = fc.oneof(fc.constantFrom(':path', ':authority', 'content-type', 'authorization', 'te'), token);
const value = fc
  .uint8Array({ maxLength: 20_000, size: '+1' })
  .map((octets) => Buffer.from(octets).toString('latin1'))
  .map((text) => text.replace(/[\0\r\n]/g, '').replace(/^[ \t]+|[ \t]+$/g, ''));
const fields: fc.Arbitrary<(readonly [string, string])[]> = fc.array(
  fc.oneof<fc.Arbitrary<readonly [string, string]>[]>(fc.constantFrom(...STATIC_TABLE), fc.tuple(name, value)),
  { maxLength: 20 },
);

describe('hpack encoder', () => {
  it('writes what a decoder reads, in the announced length, without a dynamic table', () => {
    fc.assert(
      fc.property(fields, (list) => {
        const block = encodeFields(list);
        assert.equal(
          block.length,
          list.reduce((sum, field) => sum + encodedLength(...field), 0),
        );
        const got: [string, string][] = [];
        const decoder = createHpackDecoder({ tableSizeBytes: 0 });
        const sent = Buffer.concat([Buffer.of(NO_DYNAMIC_TABLE), block]);
        decoder.decode(sent, 0, sent.length, (...field) => got.push(field));
        assert.deepEqual(got, list);
      }),
    );
  });

  it('writes a field of the static table as one octet', () => {
    for (const [index, field] of STATIC_TABLE.entries()) {
      assert.deepEqual(encodeFields([field]), Buffer.of(0x80 | (index + 1)), field.join(': '));
    }
  });

  it('appends within a larger buffer, and never writes a part of a field that does not fit', () => {
    const frame = Buffer.alloc(32);
    const length = encodedLength('grpc-timeout', '5S');
    assert.equal(writeField(frame, 9, 'grpc-timeout', '5S'), 9 + length);
    assert.deepEqual(frame.subarray(9, 9 + length), encodeFields([['grpc-timeout', '5S']]));
    assert.ok(frame.subarray(0, 9).every((octet) => octet === 0));
    const tight = Buffer.alloc(length - 1);
    assert.throws(() => writeField(tight, 0, 'grpc-timeout', '5S'), RangeError);
    assert.ok(tight.every((octet) => octet === 0));
  });

  it('refuses names and values that no field may have, without repeating the value', () => {
    for (const bad of ['', ':', 'Upper', 'a b', 'a:b', 'a\n', 'ä', 'a\0', '::path']) {
      assert.throws(() => encodeFields([[bad, 'v']]), TypeError, JSON.stringify(bad));
    }
    for (const bad of ['a\0b', 'a\rb', 'a\nb', 'a\r\nb: c', ' a', 'a ', '\ta', 'a\t', ' ', '€', 'a\ud83d']) {
      for (const known of ['cookie', 'x-custom']) {
        assert.throws(
          () => encodeFields([[known, `${bad}`]]),
          (error: unknown) =>
            error instanceof TypeError && error.message.includes(known) && !error.message.includes('b: c'),
          JSON.stringify(bad),
        );
      }
    }
    assert.equal(encodeFields([['x', 'a b\tc']]).length, encodedLength('x', 'a b\tc'));
  });
});
