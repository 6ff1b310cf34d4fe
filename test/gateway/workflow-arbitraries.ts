import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { WorkflowSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

type WorkflowInit = MessageInitShape<typeof WorkflowSchema>;

/** What differs between messages as orchestrators write them and all that there can be. */
interface Leaves {
  readonly key: fc.Arbitrary<string>;
  readonly seconds: fc.Arbitrary<bigint>;
  readonly nanos: fc.Arbitrary<number>;
  readonly sizeBytes: fc.Arbitrary<bigint>;
  readonly state: fc.Arbitrary<JobState>;
}

// Whatever can be in a string that is UTF-8, and often what JSON escapes.
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: fc.constantFrom('"', '\\', '\n', '\0', '\u001f', '\u007f', '\u2028', '\ufeff', 'ü', '🧬', 'a') }),
  fc.constantFrom('', 'rfdiffusion', `>design_0\n${'MKV'.repeat(2000)}`),
);
const double = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1, 9, 10, 87.31, 1e21, 1e-7, 5e-324));
const uint32 = fc.oneof(fc.constantFrom(0, 1, 9, 10, 2 ** 31, 2 ** 32 - 1), fc.nat());

const ORDINARY: Leaves = {
  key: text.filter((key) => !/^\d+$/.test(key)),
  seconds: fc.oneof(fc.bigInt(0n, 253_402_300_799n), fc.bigInt(1_700_000_000n, 1_900_000_000n)),
  nanos: fc.nat({ max: 999_999_999 }),
  sizeBytes: fc.bigInt(0n, 2n ** 49n - 1n),
  state: fc.nat({ max: 200 }) as fc.Arbitrary<JobState>,
};

const ANY: Leaves = {
  key: fc.oneof(text, fc.nat({ max: 20 }).map(String), fc.constantFrom('__proto__', 'toJSON', 'rawJSON', '01', '-1')),
  seconds: fc.oneof(ORDINARY.seconds, fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(-70_000_000_000n, 0n)),
  nanos: fc.oneof(ORDINARY.nanos, fc.integer()),
  sizeBytes: fc.bigInt(0n, 2n ** 64n - 1n),
  state: fc.oneof(ORDINARY.state, fc.integer() as fc.Arbitrary<JobState>),
};

/** As an orchestrator's serializer is handed them. */
export const ordinaryWorkflow: fc.Arbitrary<WorkflowInit> = workflowOf(ORDINARY);

/** With numbers, times and keys at which the JSON takes another turn. */
export const anyWorkflow: fc.Arbitrary<WorkflowInit> = workflowOf(ANY);

function workflowOf({ key, seconds, nanos, sizeBytes, state }: Leaves): fc.Arbitrary<WorkflowInit> {
  const { params } = fc.letrec<{ params: JsonObject; value: JsonObject }>((tie) => ({
    params: fc.dictionary(key, tie('value'), { maxKeys: 4 }) as fc.Arbitrary<JsonObject>,
    value: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      fc.oneof(text, fc.boolean(), double, fc.constant(null)),
      tie('params'),
      fc.array(tie('value'), { maxLength: 3 }),
    ) as fc.Arbitrary<JsonObject>,
  }));
  const time = maybe(fc.record({ seconds, nanos }));
  const few = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 });
  const map = <T>(value: fc.Arbitrary<T>) => fc.dictionary(key, value, { maxKeys: 5 });
  const resources = fc.record({
    gpuType: text,
    gpuCount: uint32,
    cpuCores: uint32,
    memoryMb: uint32,
    timeoutSeconds: uint32,
  });
  const step = fc.record({
    id: text,
    tool: text,
    dependsOn: few(text),
    params: maybe(params),
    resources: maybe(resources),
  });
  const artifact = fc.record({ uri: text, contentType: text, sizeBytes, sha256: text, metrics: map(double) });
  const sequence = fc.record({ fasta: text, globalScore: double, seqRecovery: double, sampleIndex: uint32 });
  const status = fc.record({
    stepId: text,
    state,
    fraction: fc.oneof(fc.float(), fc.float({ min: 0, max: 1 })),
    outputs: few(artifact),
    error: maybe(fc.record({ code: text, message: text, retryable: fc.boolean() })),
    startedAt: time,
    finishedAt: time,
    sequences: few(sequence),
  });
  return fc.record({
    id: text,
    spec: maybe(fc.record({ name: text, steps: few(step), labels: map(text) })),
    state,
    stepStatuses: few(status),
    createdAt: time,
    updatedAt: time,
  });
}

/** `undefined` where a message is unset. */
function maybe<T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(value, { nil: undefined });
}
