import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { createJsonTranscoder, type JsonTranscoder } from '../../src/gateway/wire/json-transcoder/json-transcoder.ts';
import { PLAIN_TRANSCODER } from '../../src/gateway/wire/json-transcoder/plain-transcoder.ts';

// What decoders accept or refuse, and serializers do not write: as the bytes of a Workflow, with a part of its JSON, or
// 'refused'.

const text = (number: number, value: string) =>
  new BinaryWriter().tag(number, WireType.LengthDelimited).string(value).finish();
const bytes = (number: number, ...parts: Uint8Array[]) =>
  new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(Buffer.concat(parts)).finish();
const varint = (number: number, value: bigint) => new BinaryWriter().tag(number, WireType.Varint).int64(value).finish();
const double = (number: number, value: number) => new BinaryWriter().tag(number, WireType.Bit64).double(value).finish();
const group = (number: number, ...parts: Uint8Array[]) =>
  Buffer.concat([
    new BinaryWriter().tag(number, WireType.StartGroup).finish(),
    ...parts,
    new BinaryWriter().tag(number, WireType.EndGroup).finish(),
  ]);

const label = (...parts: Uint8Array[]) => bytes(2, bytes(3, ...parts));
const labels = (...entries: Uint8Array[][]) => bytes(2, ...entries.map((parts) => bytes(3, ...parts)));
const pair = (key: string, value: string) => [text(1, key), text(2, value)];
const params = (...structs: Uint8Array[]) => bytes(2, bytes(2, ...structs.map((struct) => bytes(4, struct))));
const member = (key: string, ...value: Uint8Array[]) => bytes(1, text(1, key), bytes(2, ...value));
const number = (value: number) => double(2, value);
const metrics = (...entries: Uint8Array[]) => bytes(4, bytes(4, ...entries.map((entry) => bytes(5, entry))));
const createdAt = (...parts: Uint8Array[]) => bytes(5, ...parts);

function nested(levels: number): Uint8Array {
  let struct: Uint8Array = new Uint8Array();
  for (let level = 0; level < levels; level += 1) struct = member('a', bytes(5, struct));
  return struct;
}

type Case = readonly [name: string, bytes: Uint8Array, outcome: string];

const READ_AT_ONCE: readonly Case[] = [
  ['nothing', new Uint8Array(), '{"id":"","name":"","state":"UNKNOWN","steps":[],"step_statuses":[],"labels":{}}'],
  ['a spec of nothing', bytes(2), '"name":"","state":"UNKNOWN","steps":[]'],
  ['a step of nothing', bytes(2, bytes(2)), '"steps":[{"id":"","tool":"","depends_on":[],"params":{}}]'],
  ['resources of nothing', bytes(2, bytes(2, bytes(5))), '"params":{},"resources":{"gpu_count":0}}]'],
  ['a map entry without value', label(text(1, 'a')), '"labels":{"a":""}'],
  ['a map entry without key', label(text(2, 'b')), '"labels":{"":"b"}'],
  ['__proto__ as a label', labels(pair('__proto__', 'a'), pair('b', 'c')), '"labels":{"__proto__":"a","b":"c"}'],
  ['toJSON as a label', labels(pair('toJSON', 'a')), '"labels":{"toJSON":"a"}'],
  ['__proto__ in a struct', params(member('__proto__', text(3, 'x'))), '"params":{"__proto__":"x"}'],
  ['a value of no kind', params(member('a')), '"params":{"a":null}'],
  ['a struct entry without value', params(bytes(1, text(1, 'a'))), '"params":{"a":null}'],
  ['null', params(member('a', varint(1, 0n))), '"params":{"a":null}'],
  ['no number in a struct', params(member('a', number(Number.NaN))), '"params":{"a":null}'],
  ['no number in a list', params(member('a', bytes(6, bytes(1, number(Infinity))))), '"params":{"a":[null]}'],
  ['no number as a metric', metrics(Buffer.concat([text(1, 'a'), number(Number.NaN)])), '"metrics":{}'],
  ['a time of nothing', createdAt(), '"created_at":"1970-01-01T00:00:00.000Z"'],
  ['the last time', createdAt(varint(1, 253_402_300_799n), varint(2, 999_999_999n)), '"9999-12-31T23:59:59.999Z"'],
  ['the first of March after no leap day', createdAt(varint(1, 4_107_542_400n)), '"2100-03-01T00:00:00.000Z"'],
  ['a length in more octets than it needs', Buffer.from([0x0a, 0x81, 0x00, 0x61]), '"id":"a"'],
  [
    'an unknown field between the entries of a map',
    bytes(2, bytes(3, ...pair('b', '1')), varint(99, -1n), bytes(3, ...pair('a', '2'))),
    '"labels":{"b":"1","a":"2"}',
  ],
];

const LEFT_TO_THE_PLAIN_MAPPING: readonly Case[] = [
  ['a string twice', Buffer.concat([text(1, 'a'), text(1, 'b')]), '"id":"b"'],
  ['a spec in two pieces', Buffer.concat([bytes(2, text(1, 'a')), label(...pair('b', 'c'))]), '"name":"a"'],
  ['a struct in two pieces', params(member('a', number(1)), member('b', number(2))), '"params":{"a":1,"b":2}'],
  ['a label twice', labels(pair('a', '1'), pair('b', '2'), pair('a', '3')), '"labels":{"a":"3","b":"2"}'],
  [
    'a label twice, once with a longer length',
    bytes(2, bytes(3, Buffer.from([0x0a, 0x81, 0x00, 0x61])), bytes(3, ...pair('a', '3'))),
    '"labels":{"a":"3"}',
  ],
  ['numbers as labels', labels(pair('a', ''), pair('10', ''), pair('2', '')), '"labels":{"2":"","10":"","a":""}'],
  ['numbers in a struct', params(Buffer.concat([member('b'), member('0')])), '"params":{"0":null,"b":null}'],
  ['many labels', labels(...Array.from({ length: 40 }, (_, index) => pair(`k${index}`, 'v'))), '"k39":"v"'],
  ['a map entry with its value first', label(text(2, 'b'), text(1, 'a')), '"labels":{"a":"b"}'],
  ['a map entry with more in it', label(...pair('a', 'b'), varint(3, 1n)), '"labels":{"a":"b"}'],
  ['a value of two kinds', params(member('a', number(1), text(3, 'x'))), '"params":{"a":"x"}'],
  ['a deep struct', params(nested(40)), '"params":{"a":{"a":'],
  ['an unknown group', group(99, varint(1, 1n), group(5)), '"id":""'],
  ['a time before 1970', createdAt(varint(1, -1n)), '"created_at":"1969-12-31T23:59:59.000Z"'],
  ['a time that no year has', createdAt(varint(1, 253_402_300_800n)), '"labels":{}}'],
  ['more nanoseconds than a second has', createdAt(varint(2, 1_500_000_000n)), '"1970-01-01T00:00:01.500Z"'],
  ['a time with its nanoseconds first', createdAt(varint(2, 5_000_000n), varint(1, 1n)), '"1970-01-01T00:00:01.005Z"'],
  ['a state below 0', varint(3, -1n), '"state":"UNKNOWN"'],
  ['a size that no number holds', bytes(4, bytes(4, varint(3, -1n))), '"size_bytes":18446744073709551615'],
  ['a size of eight octets', bytes(4, bytes(4, varint(3, 2n ** 53n + 1n))), '"size_bytes":9007199254740993'],
  ['a state of more than 32 bits', varint(3, 2n ** 32n + 1n), '"state":"QUEUED"'],
  ['a known field of another wire type', Buffer.from([0x08, 0x01, 0x61]), '"id":"a"'],
  ['a message that reaches into what follows', Buffer.from([0x12, 0x01, 0x0a, 0x01, 0x61]), '"name":"a"'],
  ['a struct deeper than decoders go', params(nested(60)), 'refused'],
  ['a string that is not UTF-8', Buffer.from([0x0a, 0x01, 0xff]), 'refused'],
  ['an overlong form of UTF-8', Buffer.from([0x0a, 0x02, 0xc0, 0x80]), 'refused'],
  ['a surrogate in UTF-8', Buffer.from([0x0a, 0x03, 0xed, 0xa0, 0x80]), 'refused'],
  ['a label that is not UTF-8', label(bytes(1, Buffer.of(0x80)), text(2, '')), 'refused'],
  ['a string that is cut off', Buffer.from([0x0a, 0x05, 0x61]), 'refused'],
  ['a length that is cut off', Buffer.from([0x0a, 0x85]), 'refused'],
  ['a length of 4 GiB', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), 'refused'],
  ['a length of 4 GiB in a struct', params(bytes(1, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]))), 'refused'],
  ['a tag of more than 32 bits', Buffer.from([0x88, 0x80, 0x80, 0x80, 0x10, 0x01]), 'refused'],
  ['a varint without end', Buffer.from([0x18, ...Array(10).fill(0xff), 0x01]), 'refused'],
  ['a double that is cut off', metrics(Buffer.concat([text(1, 'a'), Buffer.of(0x11, 0, 0)])), 'refused'],
  ['a field of number 0', Buffer.from([0x02, 0x00]), 'refused'],
  ['a group that nothing ends', new BinaryWriter().tag(99, WireType.StartGroup).finish(), 'refused'],
  ['a wire type that there is not', Buffer.from([0x0f, 0x00]), 'refused'],
];

describe('json transcoder: what serializers do not write', () => {
  for (const [isLeft, cases] of [
    [false, READ_AT_ONCE],
    [true, LEFT_TO_THE_PLAIN_MAPPING],
  ] as const) {
    for (const [name, given, outcome] of cases) {
      it(`${name}: ${isLeft ? 'left to the plain mapping' : 'read at once'}`, () => {
        let asked = 0;
        const read = (transcoder: JsonTranscoder) => () => transcoder.workflowBytesToJson(given).toString();
        const transcoder = createJsonTranscoder({
          ...PLAIN_TRANSCODER,
          workflowBytesToJson(workflow) {
            asked += 1;
            return PLAIN_TRANSCODER.workflowBytesToJson(workflow);
          },
        });
        if (outcome === 'refused') {
          assert.throws(read(PLAIN_TRANSCODER));
          assert.throws(read(transcoder));
        } else {
          const json = read(transcoder)();
          assert.equal(json, read(PLAIN_TRANSCODER)());
          assert.ok(json.includes(outcome), json);
        }
        assert.equal(asked, isLeft ? 1 : 0);
      });
    }
  }

  it('a quota that cannot be read, next to a workflow: refused', () => {
    const given = Buffer.concat([bytes(1, text(1, 'a')), Buffer.from([0x1a, 0x02, 0x08, 0x80])]);
    assert.throws(() => PLAIN_TRANSCODER.acceptedBytesToJson(given));
    assert.throws(() => createJsonTranscoder().acceptedBytesToJson(given));
  });

  it('a list of workflows of little: all of them, and the token', () => {
    const given = Buffer.concat([bytes(1, text(1, 'a')), bytes(1, text(1, 'b')), text(2, 'next')]);
    const { body, nextPageToken } = createJsonTranscoder().workflowListBytesToJson(given);
    assert.deepEqual(
      JSON.parse(body.toString()).workflows.map((workflow: { id: string }) => workflow.id),
      ['a', 'b'],
    );
    assert.equal(nextPageToken, 'next');
  });
});
