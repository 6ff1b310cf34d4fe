import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  AuthenticateApiKeyResponseSchema,
  WorkflowEventSchema,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

// What the backend of the benchmark holds and sends, ready for the wire: of the size and form that a real one has.

const CREATED_AT = timestampFromDate(new Date('2026-01-01T00:00:00Z'));
/** Longer than any run, so that no window ends while it is measured. */
const QUOTA_WINDOW_SECONDS = 86_400;

/** A running workflow as GetWorkflow answers it, and as the snapshot that opens its event stream. */
export interface HeldWorkflow {
  readonly id: string;
  readonly answer: Buffer;
  readonly snapshot: Buffer;
}

export function createHeldWorkflow(index: number): HeldWorkflow {
  const id = `0190a5f0-0000-7000-8000-${String(index).padStart(12, '0')}`;
  const workflow = create(WorkflowSchema, {
    id,
    spec: {
      name: `binder design ${index}`,
      steps: [
        { id: 'backbone', tool: 'rfdiffusion', params: {} },
        { id: 'sequence', tool: 'proteinmpnn', dependsOn: ['backbone'], params: {} },
        { id: 'fold', tool: 'boltz', dependsOn: ['sequence'], params: {} },
      ],
      labels: { project: 'bench' },
    },
    state: JobState.RUNNING,
    stepStatuses: [
      { stepId: 'backbone', state: JobState.SUCCEEDED, fraction: 1, startedAt: CREATED_AT, finishedAt: CREATED_AT },
      { stepId: 'sequence', state: JobState.RUNNING, startedAt: CREATED_AT },
      { stepId: 'fold', state: JobState.QUEUED },
    ],
    createdAt: CREATED_AT,
    updatedAt: CREATED_AT,
  });
  const event = { case: 'workflowUpdate' as const, value: workflow };
  const snapshot = create(WorkflowEventSchema, { workflowId: id, event, at: CREATED_AT });
  return { id, answer: frame(WorkflowSchema, workflow), snapshot: frame(WorkflowEventSchema, snapshot) };
}

/** A file as the workflow that made it records it. */
export interface OutputFile {
  readonly uri: string;
  readonly sizeBytes: number;
  /** Lower-case hex; empty: not recorded. */
  readonly sha256: string;
}

/** A finished workflow as GetWorkflow answers it. */
export function createFinishedWorkflow(id: string, files: readonly OutputFile[]): Buffer {
  const outputs = files.map((file) => ({ ...file, sizeBytes: BigInt(file.sizeBytes), contentType: 'chemical/x-cif' }));
  const workflow = create(WorkflowSchema, {
    id,
    spec: { name: 'finished', steps: [{ id: 'fold', tool: 'boltz', params: {} }] },
    state: JobState.SUCCEEDED,
    stepStatuses: [{ stepId: 'fold', state: JobState.SUCCEEDED, fraction: 1, outputs, finishedAt: CREATED_AT }],
    createdAt: CREATED_AT,
    updatedAt: CREATED_AT,
  });
  return frame(WorkflowSchema, workflow);
}

/** A step's progress with a design, as a running step reports it. */
export function createStepUpdate(workflowId: string, eventId: bigint): Buffer {
  const value = {
    stepId: 'sequence',
    state: JobState.RUNNING,
    fraction: Number(eventId % 100n) / 100,
    sequences: [{ fasta: 'MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ', globalScore: 1.25, seqRecovery: 0.41, sampleIndex: 1 }],
    startedAt: CREATED_AT,
  };
  const at = timestampFromDate(new Date());
  const event = { case: 'stepUpdate' as const, value };
  return frame(WorkflowEventSchema, create(WorkflowEventSchema, { workflowId, event, at, eventId }));
}

/** What AuthenticateApiKey answers for a good key, with a quota of which some is used, or without any. */
export function createKeyAnswer(index: number, isLimited: boolean): Buffer {
  const resetsIn = durationFromMs(QUOTA_WINDOW_SECONDS * 1000);
  const answer = create(AuthenticateApiKeyResponseSchema, {
    allowed: true,
    principal: `user-${index}`,
    keyId: `bench-${String(index).padStart(6, '0')}`,
    ...(isLimited && { quota: { limit: 1000n, used: 17n, windowSeconds: BigInt(QUOTA_WINDOW_SECONDS), resetsIn } }),
  });
  return frame(AuthenticateApiKeyResponseSchema, answer);
}

/** The same for a key that nobody knows. */
export const UNKNOWN_KEY_ANSWER = frame(
  AuthenticateApiKeyResponseSchema,
  create(AuthenticateApiKeyResponseSchema, { allowed: false, denyReason: 'unknown' }),
);

/** gRPC over HTTP/2, "Length-Prefixed-Message", not compressed. */
function frame<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  const bytes = toBinary(schema, message);
  const framed = Buffer.alloc(5 + bytes.length);
  framed.writeUInt32BE(bytes.length, 1);
  framed.set(bytes, 5);
  return framed;
}
