import type { DescMessage } from '@bufbuild/protobuf';
import {
  ArtifactSchema,
  ErrorDetailSchema,
  type JobState,
  JobStateSchema,
  ResourceSpecSchema,
} from '../../../gen/foldforge/common/v1/common_pb.ts';
import {
  DesignedSequenceSchema,
  ListWorkflowsResponseSchema,
  StepSchema,
  StepStatusSchema,
  WorkflowSchema,
} from '../../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { stateToJson } from '../workflow-json.ts';

/** A message as an object of openapi.yaml. All that is not said here follows from the types of the fields: `planMessage`. */
export interface ObjectMapping {
  readonly message: DescMessage;
  /** The members in their order, by the names of the fields; `a.b` is field b of the message in field a. */
  readonly members: readonly string[];
  /** Numbers and strings that are left out when they are 0 or empty, which others are not. */
  readonly omittedWhenEmpty?: readonly string[];
  /** Messages that are {} when unset, whereas others are left out. */
  readonly emptyWhenUnset?: readonly string[];
}

/** What workflow-json.ts says message by message. */
export const OBJECTS: readonly ObjectMapping[] = [
  {
    message: WorkflowSchema,
    members: ['id', 'spec.name', 'state', 'spec.steps', 'step_statuses', 'spec.labels', 'created_at', 'updated_at'],
  },
  {
    message: ListWorkflowsResponseSchema,
    members: ['workflows', 'next_page_token'],
    omittedWhenEmpty: ['next_page_token'],
  },
  {
    message: StepSchema,
    members: ['id', 'tool', 'depends_on', 'params', 'resources'],
    emptyWhenUnset: ['params'],
  },
  {
    message: ResourceSpecSchema,
    members: ['gpu_type', 'gpu_count', 'cpu_cores', 'memory_mb', 'timeout_seconds'],
    omittedWhenEmpty: ['gpu_type', 'cpu_cores', 'memory_mb', 'timeout_seconds'],
  },
  {
    message: StepStatusSchema,
    members: ['step_id', 'state', 'fraction', 'outputs', 'sequences', 'error', 'started_at', 'finished_at'],
  },
  { message: ArtifactSchema, members: ['uri', 'content_type', 'size_bytes', 'sha256', 'metrics'] },
  { message: DesignedSequenceSchema, members: ['fasta', 'global_score', 'seq_recovery', 'sample_index'] },
  { message: ErrorDetailSchema, members: ['code', 'message', 'retryable'] },
];

/** The words of the contract for the values of an enum. */
export const WORDS: ReadonlyMap<string, (value: number) => string> = new Map([
  [JobStateSchema.typeName, (value: number) => stateToJson(value as JobState)],
]);
