import { createHash } from 'node:crypto';
import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  AcceptWorkflowResponseSchema,
  AuthenticateApiKeyResponseSchema,
  ListWorkflowsResponseSchema,
  type Workflow,
  WorkflowEventSchema,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import {
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../../src/gen/grpc/health/v1/health_pb.ts';

// What the backend of the benchmark holds and sends, ready for the wire: of the size and form that a real one has.

const CREATED_AT = timestampFromDate(new Date('2026-01-01T00:00:00Z'));
/** Longer than any run, so that no window ends while it is measured. */
const QUOTA_WINDOW_SECONDS = 86_400;

/** A running workflow as GetWorkflow answers it, and as the snapshot that opens its event stream. */
export interface HeldWorkflow {
  readonly id: string;
  readonly workflow: Workflow;
  readonly answer: Buffer;
  readonly snapshot: Buffer;
}

export function createHeldWorkflow(index: number): HeldWorkflow {
  const workflow = createRunningWorkflow(index);
  const { id } = workflow;
  const event = { case: 'workflowUpdate' as const, value: workflow };
  const snapshot = create(WorkflowEventSchema, { workflowId: id, event, at: CREATED_AT });
  return {
    id,
    workflow,
    answer: frame(WorkflowSchema, workflow),
    snapshot: frame(WorkflowEventSchema, snapshot),
  };
}

/** A page of them that is not the last one. */
export function createPage(workflows: readonly Workflow[]): Buffer {
  const page = create(ListWorkflowsResponseSchema, { workflows: [...workflows], nextPageToken: 'cGFnZTI' });
  return frame(ListWorkflowsResponseSchema, page);
}

/** What AcceptWorkflow answers: the workflow before anything has begun, and what is left of the quota. */
export function createAcceptance(index: number): Buffer {
  const { id, spec } = createRunningWorkflow(index);
  const stepStatuses = spec!.steps.map((step) => ({ stepId: step.id, state: JobState.QUEUED }));
  const workflow = {
    id,
    spec: spec!,
    state: JobState.QUEUED,
    stepStatuses,
    createdAt: CREATED_AT,
    updatedAt: CREATED_AT,
  };
  return frame(AcceptWorkflowResponseSchema, create(AcceptWorkflowResponseSchema, { workflow, quota: createQuota() }));
}

/** With all that a workflow shows: one step has made two designs, one has made sequences for them, two wait. */
function createRunningWorkflow(index: number): Workflow {
  const id = `0190a5f0-0000-7000-8000-${String(index).padStart(12, '0')}`;
  const outputs = [1, 2].map((design) => {
    const sha256 = createHash('sha256').update(`${index}/${design}`).digest('hex');
    return {
      uri: `r2://foldforge-artifacts/artifacts/${sha256}.pdb`,
      contentType: 'chemical/x-pdb',
      sizeBytes: BigInt(35_412 + design),
      sha256,
      metrics: { plddt: 84.25, rmsd: 1.5 },
    };
  });
  const sequences = [1, 2].map((sampleIndex) => ({
    fasta: 'MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV',
    globalScore: 1.125 + sampleIndex / 8,
    seqRecovery: 0.40625,
    sampleIndex,
  }));
  return create(WorkflowSchema, {
    id,
    spec: {
      name: `binder design ${index}`,
      steps: [
        {
          id: 'backbone',
          tool: 'rfdiffusion',
          params: { contigs: 'A1-150/0 70-100', hotspots: ['A59', 'A83', 'A91'], num_designs: 2 },
          resources: { gpuType: 'A100', gpuCount: 1, memoryMb: 32_768, timeoutSeconds: 3_600 },
        },
        {
          id: 'sequence',
          tool: 'proteinmpnn',
          dependsOn: ['backbone'],
          params: { num_sequences: 8, sampling_temp: 0.125 },
          resources: { gpuCount: 1, cpuCores: 4 },
        },
        { id: 'fold', tool: 'boltz', dependsOn: ['sequence'], params: { recycling_steps: 3, diffusion_samples: 1 } },
        { id: 'check', tool: 'af2', dependsOn: ['sequence'], params: { num_models: 1, relax: false } },
      ],
      labels: { project: 'bench', target: '6M0J' },
    },
    state: JobState.RUNNING,
    stepStatuses: [
      {
        stepId: 'backbone',
        state: JobState.SUCCEEDED,
        fraction: 1,
        outputs,
        startedAt: CREATED_AT,
        finishedAt: CREATED_AT,
      },
      { stepId: 'sequence', state: JobState.RUNNING, fraction: 0.25, sequences, startedAt: CREATED_AT },
      { stepId: 'fold', state: JobState.QUEUED },
      { stepId: 'check', state: JobState.QUEUED },
    ],
    createdAt: CREATED_AT,
    updatedAt: CREATED_AT,
  });
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
  const answer = create(AuthenticateApiKeyResponseSchema, {
    allowed: true,
    principal: `user-${index}`,
    keyId: `bench-${String(index).padStart(6, '0')}`,
    ...(isLimited && { quota: createQuota() }),
  });
  return frame(AuthenticateApiKeyResponseSchema, answer);
}

function createQuota() {
  const resetsIn = durationFromMs(QUOTA_WINDOW_SECONDS * 1000);
  return { limit: 1000n, used: 17n, windowSeconds: BigInt(QUOTA_WINDOW_SECONDS), resetsIn };
}

/** What health checks are answered. */
export const SERVING = frame(
  HealthCheckResponseSchema,
  create(HealthCheckResponseSchema, { status: HealthCheckResponse_ServingStatus.SERVING }),
);

/** What AuthenticateApiKey answers for a key that nobody knows. */
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
