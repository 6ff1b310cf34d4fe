import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { contentDisposition, parseArtifactKey } from '../../src/gateway/wire/artifact-key.ts';
import { exactInteger } from '../../src/gateway/wire/exact-integer.ts';
import { readIdempotencyKey } from '../../src/gateway/wire/idempotency-key.ts';
import { parseRange } from '../../src/gateway/wire/ranges.ts';
import { rfc3339 } from '../../src/gateway/wire/scalars.ts';
import { eventFrame, parseEventId } from '../../src/gateway/wire/sse.ts';
import { workflowSpecFromJson } from '../../src/gateway/wire/workflow-spec.ts';
import { WorkflowEventSchema, WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

describe('wire', () => {
  it('writes every 64-bit integer with all its digits', () => {
    const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n });
    fc.assert(fc.property(int64, (value) => assert.equal(JSON.stringify(exactInteger(value)), value.toString())));
  });

  it('takes as an event id exactly the decimal uint64s', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (id) => assert.equal(parseEventId(`${id}`), id)),
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.bigInt({ min: 2n ** 64n }).map(String)), (text) => {
        fc.pre(!/^(0|[1-9]\d*)$/.test(text) || BigInt(text) >= 2n ** 64n);
        assert.equal(parseEventId(text), undefined);
      }),
    );
  });

  it('puts an event on one data line, whatever is in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (message, eventId) => {
        const value = { stepId: 'a', error: { code: 'X', message } };
        const event = create(WorkflowEventSchema, { workflowId: 'w', eventId, event: { case: 'stepUpdate', value } });
        const lines = eventFrame(event).bytes.toString().split('\n');
        const expected = eventId === 0n ? ['event: step_update'] : [`id: ${eventId}`, 'event: step_update'];
        assert.deepEqual(lines.slice(0, -3), expected);
        assert.equal(
          JSON.parse(lines.at(-3)!.replace(/^data: /, '')).step_update.error.message,
          message.toWellFormed(),
        );
        assert.deepEqual(lines.slice(-2), ['', '']);
      }),
    );
  });

  it('cuts ranges as RFC 9110 says', () => {
    const size = fc.integer({ min: 0, max: 1000 });
    const bound = fc.option(fc.integer({ min: 0, max: 1200 }), { nil: undefined });
    fc.assert(
      fc.property(size, bound, bound, (sizeBytes, first, last) => {
        const bytes = Array.from({ length: sizeBytes }, (_, index) => index);
        const range = parseRange(`bytes=${first ?? ''}-${last ?? ''}`, BigInt(sizeBytes));
        if (first === undefined && last === undefined) return assert.equal(range, undefined);
        if (first !== undefined && last !== undefined && last < first) return assert.equal(range, undefined);
        const expected =
          first === undefined
            ? bytes.slice(Math.max(0, sizeBytes - last!))
            : bytes.slice(first, (last ?? sizeBytes) + 1);
        if (first === undefined && last === 0) expected.length = 0;
        if (expected.length === 0) return assert.equal(range, 'unsatisfiable');
        assert.deepEqual(range, { first: BigInt(expected[0]!), last: BigInt(expected.at(-1)!) });
      }),
    );
  });

  it('cuts ranges of files that are larger than a number can count', () => {
    const sizeBytes = 2n ** 64n - 1n;
    const range = (header: string) => parseRange(header, sizeBytes);
    assert.deepEqual(range('bytes=-1'), { first: sizeBytes - 1n, last: sizeBytes - 1n });
    assert.deepEqual(range('bytes=9007199254740993-'), { first: 9_007_199_254_740_993n, last: sizeBytes - 1n });
    assert.deepEqual(range(`bytes=0-${'9'.repeat(100)}`), { first: 0n, last: sizeBytes - 1n });
    assert.equal(range(`bytes=${sizeBytes}-`), 'unsatisfiable');
  });

  it('decodes an artifact key once, and finds nothing else in the path', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((text) => !/^\.{1,2}$|[/\\\p{Cc}]/u.test(text));
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        fc.pre(segments.every((text) => text.isWellFormed()));
        const path = segments.map(encodeURIComponent).join('/');
        assert.equal(parseArtifactKey(`/v1/workflows/x/artifacts/${path}?y=1`), segments.join('/'));
      }),
    );
    for (const bad of [
      '',
      'a//b',
      '/a',
      'a/',
      '..',
      'a/../b',
      'a/%2e%2e/b',
      '%2e',
      'a%5cb',
      'a%00',
      '%',
      '%ff',
      'a%0a',
    ]) {
      assert.equal(parseArtifactKey(`/v1/workflows/x/artifacts/${bad}`), undefined, bad);
    }
  });

  it('names files safely', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        fc.pre(name.isWellFormed());
        const header = contentDisposition(`artifacts/${name}`);
        assert.match(header, /^attachment; filename="[\x20-\x7e]*"; filename\*=UTF-8''[\w!#$&+.^`|~%-]*$/);
        assert.equal(decodeURIComponent(header.split("UTF-8''").at(-1)!), name.slice(name.lastIndexOf('/') + 1));
      }),
      { examples: [["''"]] },
    );
  });

  it('reads an idempotency key bare or quoted', () => {
    assert.equal(readIdempotencyKey('abc'), 'abc');
    assert.equal(readIdempotencyKey('"a\\"b\\\\c"'), 'a"b\\c');
  });

  it('writes times in UTC, and leaves out what RFC 3339 cannot write', () => {
    const time = (seconds: bigint, nanos = 0) => rfc3339({ $typeName: 'google.protobuf.Timestamp', seconds, nanos });
    assert.equal(time(0n, 999_999_999), '1970-01-01T00:00:00.999Z');
    assert.equal(time(253_402_300_799n), '9999-12-31T23:59:59.000Z');
    assert.equal(time(253_402_300_800n), undefined);
    assert.equal(rfc3339(undefined), undefined);
  });

  it('makes protobuf of any params that JSON can write', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 10 })), (params) => {
        fc.pre(!JSON.stringify(params).includes('__proto__'));
        const spec = workflowSpecFromJson({ name: 'x', steps: [{ id: 'a', tool: 'af2', params: params as never }] });
        toBinary(WorkflowSpecSchema, create(WorkflowSpecSchema, spec));
      }),
    );
  });
});
