import type { Step } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { Tool } from '../runners/runner.ts';
import type { StepRow } from '../store/steps.ts';
import type { WorkflowRow, WorkflowWithSteps } from '../store/workflows.ts';
import { decodeSpec } from '../wire.ts';

/** A workflow as it was when it was accepted, however far it has come. `spec` is a WorkflowSpec as protobuf bytes. */
export function asAccepted(workflow: WorkflowRow, spec: Uint8Array): WorkflowWithSteps {
  const steps = decodeSpec(spec).steps.map(queuedStep);
  return { ...workflow, state: 'QUEUED', updatedUs: workflow.createdUs, spec, steps };
}

/** A step before its first attempt. `checkSpec` has found its tool good. */
export function queuedStep({ id, tool, dependsOn }: Pick<Step, 'id' | 'tool' | 'dependsOn'>): StepRow {
  return {
    stepId: id,
    tool: tool as Tool,
    dependsOn,
    state: 'QUEUED',
    attempt: 1,
    retries: 0,
    fraction: 0,
    output: null,
    fault: null,
    startedUs: null,
    finishedUs: null,
  };
}
