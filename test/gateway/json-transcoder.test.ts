import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { createJsonTranscoder, type JsonTranscoder } from '../../src/gateway/wire/json-transcoder/json-transcoder.ts';
import { planMessage } from '../../src/gateway/wire/json-transcoder/message-plan.ts';
import { PLAIN_TRANSCODER } from '../../src/gateway/wire/json-transcoder/plain-transcoder.ts';
import { createRfc3339Writer, RFC3339_BYTES } from '../../src/gateway/wire/json-transcoder/rfc3339-text.ts';
import {
  AcceptWorkflowResponseSchema,
  ListWorkflowsResponseSchema,
  QuotaSchema,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { rewriteRecords, unknownField } from './protobuf-records.ts';
import { anyWorkflow, ordinaryWorkflow } from './workflow-arbitraries.ts';

// Leaves nothing to the plain mapping, which is what the answers are compared with.
const fast = createJsonTranscoder({
  workflowBytesToJson: () => assert.fail('left to the plain mapping'),
  workflowListBytesToJson: () => assert.fail('left to the plain mapping'),
  acceptedBytesToJson: () => assert.fail('left to the plain mapping'),
});
const complete = createJsonTranscoder();

describe('json transcoder', () => {
  it('writes the plain mapping, byte for byte, of what serializers write, without asking it', () => {
    fc.assert(
      fc.property(ordinaryWorkflow, (workflow) => {
        checkSame(fast, toBinary(WorkflowSchema, create(WorkflowSchema, workflow)));
      }),
      { numRuns: 300 },
    );
  });

  it('takes fields in any order, and skips those it does not know', () => {
    fc.assert(
      fc.property(ordinaryWorkflow, fc.integer(), (workflow, seed) => {
        const random = seeded(seed);
        const bytes = toBinary(WorkflowSchema, create(WorkflowSchema, workflow));
        const scrambled = rewriteRecords(undefined, bytes, (records) =>
          shuffle([...records, unknownField(random, false)], random),
        );
        checkSame(fast, scrambled);
      }),
      { numRuns: 100 },
    );
  });

  it('writes the plain mapping of any message', () => {
    fc.assert(
      fc.property(anyWorkflow, (workflow) => {
        checkSame(complete, toBinary(WorkflowSchema, create(WorkflowSchema, workflow)));
      }),
      { numRuns: 300 },
    );
  });

  it('writes the plain mapping of messages in pieces, in any order, with unknown fields at all depths', () => {
    fc.assert(
      fc.property(anyWorkflow, anyWorkflow, fc.integer(), (one, other, seed) => {
        const random = seeded(seed);
        const both = [one, other].map((workflow) => toBinary(WorkflowSchema, create(WorkflowSchema, workflow)));
        const merged = rewriteRecords(WorkflowSchema, Buffer.concat(both), (records) => {
          const unknown = Array.from({ length: Math.floor(random() * 2) }, () => unknownField(random, true));
          return shuffle([...records, ...unknown], random);
        });
        checkSame(complete, merged);
      }),
      { numRuns: 100 },
    );
  });

  it('fails where the plain mapping fails, and only there', () => {
    const damage = fc.record({
      position: fc.nat(),
      removed: fc.nat({ max: 3 }),
      inserted: fc.uint8Array({ maxLength: 3 }),
      length: fc.option(fc.nat(), { nil: undefined }),
    });
    fc.assert(
      fc.property(anyWorkflow, damage, (workflow, { position, removed, inserted, length }) => {
        const bytes = toBinary(WorkflowSchema, create(WorkflowSchema, workflow));
        const at = position % (bytes.length + 1);
        const damaged = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
        checkSame(complete, length === undefined ? damaged : damaged.subarray(0, length % (damaged.length + 1)));
      }),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => checkSame(complete, bytes)),
      { numRuns: 500 },
    );
  });

  it('rounds floats to seven digits as toPrecision does', () => {
    const fraction = fc.oneof(
      fc.float(),
      fc.float({ min: 0, max: 1 }),
      fc.float({ min: Math.fround(0.0999), max: Math.fround(0.1001) }),
    );
    fc.assert(
      fc.property(fc.array(fraction, { minLength: 20, maxLength: 20 }), (fractions) => {
        const stepStatuses = fractions.map((fraction) => ({ fraction }));
        checkSame(fast, toBinary(WorkflowSchema, create(WorkflowSchema, { stepStatuses })));
      }),
      { numRuns: 200 },
    );
  });

  it('writes times as Date does', () => {
    const write = createRfc3339Writer();
    const times = fc.tuple(fc.nat({ max: 253_402_300_799 }), fc.nat({ max: 999_999_999 }));
    fc.assert(
      fc.property(times, fc.nat({ max: 5 }), ([seconds, nanos], at) => {
        const text = Buffer.alloc(RFC3339_BYTES + 5, '-');
        write(text, at, seconds, nanos);
        const date = new Date(seconds * 1000 + Math.floor(nanos / 1e6)).toISOString();
        assert.equal(text.toString(), '-'.repeat(at) + date + '-'.repeat(5 - at));
      }),
      { numRuns: 1000 },
    );
  });

  it('tells the token of the next page of a list', () => {
    const list = fc.record({
      workflows: fc.array(ordinaryWorkflow, { maxLength: 3 }),
      nextPageToken: fc.string({ unit: 'binary' }),
    });
    fc.assert(
      fc.property(list, (init) => {
        const bytes = toBinary(ListWorkflowsResponseSchema, create(ListWorkflowsResponseSchema, init));
        assert.deepEqual(
          textOf(fast.workflowListBytesToJson(bytes)),
          textOf(PLAIN_TRANSCODER.workflowListBytesToJson(bytes)),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('tells all of an acceptance', () => {
    const int64 = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
    const quota = fc.record({ limit: int64, used: int64, windowSeconds: int64 });
    const acceptance = fc.record({
      workflow: fc.option(ordinaryWorkflow, { nil: undefined }),
      replayed: fc.boolean(),
      quota: fc.option(quota, { nil: undefined }),
    });
    fc.assert(
      fc.property(acceptance, (init) => {
        const bytes = toBinary(AcceptWorkflowResponseSchema, create(AcceptWorkflowResponseSchema, init));
        assert.deepEqual(textOf(fast.acceptedBytesToJson(bytes)), textOf(PLAIN_TRANSCODER.acceptedBytesToJson(bytes)));
      }),
      { numRuns: 100 },
    );
  });

  it('is not misled by what it read before', () => {
    const transcoder = createJsonTranscoder();
    const workflow = create(WorkflowSchema, { id: 'wf', spec: { labels: { a: '1', b: '2' } } });
    const bytes = toBinary(WorkflowSchema, workflow);
    const expected = transcoder.workflowBytesToJson(bytes).toString();
    const large = create(WorkflowSchema, { id: '\n'.repeat(3_000_000), spec: { labels: { 5: '' } } });
    for (const other of [toBinary(WorkflowSchema, large), bytes.subarray(0, 9), Buffer.alloc(0), bytes]) {
      checkSame(transcoder, other);
      assert.equal(transcoder.workflowBytesToJson(bytes).toString(), expected);
    }
  });

  it('hands out bytes of its own', () => {
    const bytesOf = (id: string) => toBinary(WorkflowSchema, create(WorkflowSchema, { id }));
    const first = fast.workflowBytesToJson(bytesOf('first'));
    fast.workflowBytesToJson(bytesOf('other'));
    assert.match(first.toString(), /"first"/);
  });

  it('does not guess the JSON of a message', () => {
    assert.throws(() => planMessage(QuotaSchema), /Quota has no mapping to JSON/);
  });
});

function checkSame(transcoder: JsonTranscoder, bytes: Uint8Array): void {
  const expected = outcome(() => PLAIN_TRANSCODER.workflowBytesToJson(bytes).toString());
  assert.deepEqual(
    outcome(() => transcoder.workflowBytesToJson(bytes).toString()),
    expected,
  );
}

function outcome(action: () => string): { text: string } | { error: string } {
  try {
    return { text: action() };
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return { error: String(error) };
  }
}

function textOf<T extends { body: Buffer }>(answer: T | undefined) {
  return answer && { ...answer, body: answer.body.toString() };
}

function shuffle<T>(items: T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ item }) => item);
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
