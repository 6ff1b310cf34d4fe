import type { Artifact, ResourceSpec } from '../../gen/foldforge/common/v1/common_pb.ts';
import { JobState } from '../../gen/foldforge/common/v1/common_pb.ts';
import type {
  DesignedSequence,
  ListWorkflowsResponse,
  Step,
  StepStatus,
  Workflow,
  WorkflowEvent,
} from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { exactInteger } from './exact-integer.ts';
import { finite, rfc3339 } from './scalars.ts';

// Protobuf messages to the JSON of openapi.yaml: snake_case, the spec flattened in, what is unset left out.
// JSON.stringify drops `undefined`.

const STATES: Readonly<Record<number, State>> = {
  [JobState.QUEUED]: 'QUEUED',
  [JobState.RUNNING]: 'RUNNING',
  [JobState.SUCCEEDED]: 'SUCCEEDED',
  [JobState.FAILED]: 'FAILED',
  [JobState.CANCELLED]: 'CANCELLED',
};

export type State = 'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED' | 'UNKNOWN';

/** The contract's word for a state; UNKNOWN for one that is newer than this gateway. */
export function stateToJson(state: JobState): State {
  return STATES[state] ?? 'UNKNOWN';
}

/** The contract's word as the enum value, for filters. */
export function stateFromJson(state: Exclude<State, 'UNKNOWN'>): JobState {
  return JobState[state];
}

/** Whether nothing more will happen unless somebody retries. */
export function isTerminal(state: JobState): boolean {
  return state === JobState.SUCCEEDED || state === JobState.FAILED || state === JobState.CANCELLED;
}

export function workflowToJson(workflow: Workflow) {
  return {
    id: workflow.id,
    name: workflow.spec?.name ?? '',
    state: stateToJson(workflow.state),
    steps: (workflow.spec?.steps ?? []).map(stepToJson),
    step_statuses: workflow.stepStatuses.map(stepStatusToJson),
    labels: workflow.spec?.labels ?? {},
    created_at: rfc3339(workflow.createdAt),
    updated_at: rfc3339(workflow.updatedAt),
  };
}

export function workflowListToJson(list: ListWorkflowsResponse) {
  return { workflows: list.workflows.map(workflowToJson), next_page_token: list.nextPageToken || undefined };
}

export function workflowEventToJson(event: WorkflowEvent) {
  const { event: update } = event;
  return {
    workflow_id: event.workflowId,
    step_update: update.case === 'stepUpdate' ? stepStatusToJson(update.value) : undefined,
    workflow_update: update.case === 'workflowUpdate' ? workflowToJson(update.value) : undefined,
    at: rfc3339(event.at),
  };
}

function stepToJson(step: Step) {
  return {
    id: step.id,
    tool: step.tool,
    depends_on: step.dependsOn,
    params: step.params ?? {},
    resources: step.resources && resourcesToJson(step.resources),
  };
}

function resourcesToJson(resources: ResourceSpec) {
  return {
    gpu_type: resources.gpuType || undefined,
    gpu_count: resources.gpuCount,
    cpu_cores: resources.cpuCores || undefined,
    memory_mb: resources.memoryMb || undefined,
    timeout_seconds: resources.timeoutSeconds || undefined,
  };
}

function stepStatusToJson(status: StepStatus) {
  return {
    step_id: status.stepId,
    state: stateToJson(status.state),
    // A float on the wire: seven digits are all it holds, and all that a reader wants to see.
    fraction: Number((finite(status.fraction) ?? 0).toPrecision(7)),
    outputs: status.outputs.map(artifactToJson),
    sequences: status.sequences.map(sequenceToJson),
    error: status.error && {
      code: status.error.code,
      message: status.error.message,
      retryable: status.error.retryable,
    },
    started_at: rfc3339(status.startedAt),
    finished_at: rfc3339(status.finishedAt),
  };
}

function artifactToJson(artifact: Artifact) {
  return {
    uri: artifact.uri,
    content_type: artifact.contentType,
    size_bytes: exactInteger(artifact.sizeBytes),
    sha256: artifact.sha256,
    metrics: metricsToJson(artifact.metrics),
  };
}

function sequenceToJson(sequence: DesignedSequence) {
  return {
    fasta: sequence.fasta,
    global_score: finite(sequence.globalScore),
    seq_recovery: finite(sequence.seqRecovery),
    sample_index: sequence.sampleIndex,
  };
}

/** Scores by name, without those that JSON has no number for (NaN, infinities). */
export function metricsToJson(metrics: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
}
