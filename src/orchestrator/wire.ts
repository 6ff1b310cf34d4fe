import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { ArtifactSchema, ErrorDetailSchema, JobState } from '../gen/foldforge/common/v1/common_pb.ts';
import {
  DesignedSequenceSchema,
  EventGapSchema,
  type Quota as QuotaMessage,
  QuotaSchema,
  type StepStatus,
  StepStatusSchema,
  type Workflow,
  type WorkflowEvent,
  WorkflowEventSchema,
  WorkflowSchema,
  type WorkflowSpec,
  WorkflowSpecSchema,
} from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { Quota } from './accounts/key-standing.ts';
import type { ArtifactRecord, SequenceRecord } from './runners/runner.ts';
import type { StepRow } from './store/steps.ts';
import type { State, WorkflowContent, WorkflowRow, WorkflowWithSteps } from './store/workflows.ts';

const JOB_STATES: Record<State, JobState> = {
  QUEUED: JobState.QUEUED,
  RUNNING: JobState.RUNNING,
  SUCCEEDED: JobState.SUCCEEDED,
  FAILED: JobState.FAILED,
  CANCELLED: JobState.CANCELLED,
};

/** Undefined for JOB_STATE_UNSPECIFIED and for numbers that the contract does not know. */
export function stateOf(jobState: JobState): State | undefined {
  return (Object.keys(JOB_STATES) as State[]).find((state) => JOB_STATES[state] === jobState);
}

export function timestampOf(microseconds: bigint): Timestamp {
  return create(TimestampSchema, {
    seconds: microseconds / 1_000_000n,
    nanos: Number(microseconds % 1_000_000n) * 1000,
  });
}

/** Undefined without a limit. */
export function quotaOf({ limit, used, windowSeconds, resetsInUs }: Quota): QuotaMessage | undefined {
  if (limit === 0n) return undefined;
  return create(QuotaSchema, { limit, used, windowSeconds, resetsIn: optionalDuration(resetsInUs) });
}

/** Microseconds since 1970; null is unset. */
export function optionalTimestamp(microseconds: bigint | null): Timestamp | undefined {
  return microseconds === null ? undefined : timestampOf(microseconds);
}

function optionalDuration(microseconds: bigint | null): Duration | undefined {
  if (microseconds === null) return undefined;
  const seconds = microseconds / 1_000_000n;
  return create(DurationSchema, { seconds, nanos: Number(microseconds % 1_000_000n) * 1000 });
}

export function encodeSpec(spec: WorkflowSpec): Uint8Array {
  return toBinary(WorkflowSpecSchema, spec);
}

export function decodeSpec(bytes: Uint8Array): WorkflowSpec {
  return fromBinary(WorkflowSpecSchema, bytes);
}

export function workflowOf(workflow: WorkflowWithSteps): Workflow {
  return create(WorkflowSchema, {
    id: workflow.id,
    spec: decodeSpec(workflow.spec),
    state: JOB_STATES[workflow.state],
    stepStatuses: workflow.steps.map(stepStatusOf),
    createdAt: timestampOf(workflow.createdUs),
    updatedAt: timestampOf(workflow.updatedUs),
  });
}

function stepStatusOf(step: StepRow): StepStatus {
  return create(StepStatusSchema, {
    stepId: step.stepId,
    state: JOB_STATES[step.state],
    fraction: step.fraction,
    outputs: (step.output?.artifacts ?? []).map(artifactOf),
    sequences: (step.output?.sequences ?? []).map(sequenceOf),
    error: step.fault ? create(ErrorDetailSchema, step.fault) : undefined,
    startedAt: optionalTimestamp(step.startedUs),
    finishedAt: optionalTimestamp(step.finishedUs),
  });
}

function artifactOf({ sizeBytes, metrics, ...artifact }: ArtifactRecord) {
  return create(ArtifactSchema, { ...artifact, sizeBytes: BigInt(sizeBytes), metrics: { ...metrics } });
}

function sequenceOf(sequence: SequenceRecord) {
  return create(DesignedSequenceSchema, sequence);
}

/** What an event tells: that one step changed, or the whole workflow with all its steps. */
export type Change = { readonly step: StepRow } | { readonly workflow: WorkflowContent };

/** The stored form of an event: WorkflowEvent bytes. `workflow` is as it is right after the change. */
export function encodeEvent(workflow: WorkflowRow, eventId: bigint, change: Change): Uint8Array {
  const event = create(WorkflowEventSchema, {
    workflowId: workflow.id,
    eventId,
    at: timestampOf(workflow.updatedUs),
    event:
      'step' in change
        ? { case: 'stepUpdate', value: stepStatusOf(change.step) }
        : { case: 'workflowUpdate', value: workflowOf({ ...workflow, ...change.workflow }) },
  });
  return toBinary(WorkflowEventSchema, event);
}

export function decodeEvent(body: Uint8Array): WorkflowEvent {
  return fromBinary(WorkflowEventSchema, body);
}

/** The event with id 0 that comes before `oldest` when some between it and `requested` are no longer stored. */
export function gapBefore(oldest: WorkflowEvent, requested: bigint): WorkflowEvent {
  return create(WorkflowEventSchema, {
    workflowId: oldest.workflowId,
    eventId: 0n,
    at: oldest.at,
    event: { case: 'gap', value: create(EventGapSchema, { requested, oldest: oldest.eventId }) },
  });
}

/** The event with id 0 that opens a fresh subscription: the workflow as it is now. */
export function snapshotOf(workflow: WorkflowWithSteps): WorkflowEvent {
  return create(WorkflowEventSchema, {
    workflowId: workflow.id,
    eventId: 0n,
    at: timestampOf(workflow.updatedUs),
    event: { case: 'workflowUpdate', value: workflowOf(workflow) },
  });
}
