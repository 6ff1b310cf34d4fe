import type { Billing } from '../accounts/billing.ts';
import type { RetryPolicy } from '../config.ts';
import type { Metrics } from '../metrics.ts';
import type { StepJob, StepOutcome } from '../runners/runner.ts';
import {
  countSteps,
  findLiveStep,
  markFailed,
  markProgress,
  markRetried,
  markRunning,
  markSucceeded,
  releaseSteps,
  type StepCounts,
  stepOutputs,
} from '../store/steps.ts';
import { isTerminal, lockWorkflow, readContent, readSpec, type State, type WorkflowRow } from '../store/workflows.ts';
import { type Change, decodeSpec } from '../wire.ts';
import type { ChangeWorkflow } from './change-workflow.ts';
import { resourcesOf } from './planned-steps.ts';
import { record } from './record.ts';
import type { StepQueue } from './step-queue.ts';

/** One attempt to run one step. */
export interface StepRef {
  readonly workflowId: string;
  readonly stepId: string;
  readonly attempt: number;
}

/** What the engine does to a step. Each changes nothing once the step has left the attempt, or is finished. */
export interface StepTransitions {
  /** The work to do, and how far it had come before a crash. Undefined: there is nothing left to do. */
  readonly start: (ref: StepRef) => Promise<{ readonly job: StepJob; readonly fraction: number } | undefined>;
  /** False when the step is no longer to be run. `fraction` is 0 to 1. */
  readonly progress: (ref: StepRef, fraction: number) => Promise<boolean>;
  /** Stores the outcome, enqueues what it released, and ends the workflow after its last step. */
  readonly finish: (ref: StepRef, outcome: StepOutcome) => Promise<void>;
}

export interface StepTransitionsParts {
  readonly change: ChangeWorkflow;
  readonly queue: StepQueue;
  readonly billing: Billing;
  readonly retries: RetryPolicy;
  readonly metrics: Metrics;
}

const LONGEST_RETRY_DELAY_MS = 300_000;

export function createStepTransitions({
  change,
  queue,
  billing,
  retries,
  metrics,
}: StepTransitionsParts): StepTransitions {
  const start: StepTransitions['start'] = async (ref) => {
    const begun = await change(ref.workflowId, async (connection) => {
      const { workflowId, stepId, attempt } = ref;
      const workflow = await lockWorkflow(connection, workflowId);
      const step = await findLiveStep(connection, workflowId, stepId, attempt);
      if (!workflow || !step) return undefined;
      let waitedSeconds: number | null = null;
      if (step.state === 'QUEUED') {
        const started = await markRunning(connection, workflowId, stepId);
        const running: Change = { step: started.step };
        waitedSeconds = started.waitedSeconds;
        const isFirst = workflow.state === 'QUEUED';
        const changes = isFirst ? [{ workflow: await readContent(connection, workflowId) }, running] : [running];
        await record(connection, workflowId, 'RUNNING', changes);
      }
      const inputs = step.dependsOn.length > 0 ? await stepOutputs(connection, workflowId, step.dependsOn) : {};
      const job = jobOf(ref, await readSpec(connection, workflowId), workflow, inputs);
      return { job, fraction: step.fraction, waitedSeconds };
    });
    if (begun && begun.waitedSeconds !== null) metrics.stepWaited(begun.job.tool, begun.waitedSeconds);
    return begun;
  };

  const progress: StepTransitions['progress'] = ({ workflowId, stepId, attempt }, fraction) =>
    change(workflowId, async (connection) => {
      const workflow = await lockWorkflow(connection, workflowId);
      const live = await findLiveStep(connection, workflowId, stepId, attempt);
      if (!workflow || !live) return false;
      const step = await markProgress(connection, workflowId, stepId, fraction);
      if (step) await record(connection, workflowId, workflow.state, [{ step }]);
      return true;
    });

  const finish: StepTransitions['finish'] = async ({ workflowId, stepId, attempt }, outcome) => {
    const finished = await change(workflowId, async (connection) => {
      const before = await lockWorkflow(connection, workflowId);
      const live = await findLiveStep(connection, workflowId, stepId, attempt);
      if (!before || !live) return undefined;
      if ('fault' in outcome && outcome.fault.retryable && live.retries < retries.limit) {
        const delayMs = retryDelayMs(retries, live.retries);
        const step = await markRetried(connection, workflowId, stepId, delayMs);
        await queue.enqueue(connection, before, [step], delayMs);
        return { step, workflow: await record(connection, workflowId, before.state, [{ step }]) };
      }
      const step =
        'output' in outcome
          ? await markSucceeded(connection, workflowId, stepId, outcome.output)
          : await markFailed(connection, workflowId, stepId, outcome.fault);
      if ('output' in outcome) {
        await queue.enqueue(connection, before, await releaseSteps(connection, workflowId, stepId));
      }
      const counts = await countSteps(connection, workflowId);
      const state = stateAfter(counts, before.state);
      if (state === 'FAILED' && counts.succeeded === 0) await billing.refund(connection, before);
      const changes: Change[] = [{ step }];
      if (isTerminal(state)) changes.push({ workflow: await readContent(connection, workflowId) });
      return { step, workflow: await record(connection, workflowId, state, changes) };
    });
    if (!finished) return;
    const { tool, state } = finished.step;
    if (state === 'QUEUED') metrics.stepRetried(tool);
    else metrics.stepFinished(tool, state === 'SUCCEEDED' ? 'succeeded' : 'failed');
    if (isTerminal(finished.workflow.state)) metrics.workflowFinished(finished.workflow);
  };

  return { start, progress, finish };
}

/** As long as the workflow is not over it stays as it was: a step that never ran does not make it run. */
function stateAfter({ live, succeeded, total }: StepCounts, before: State): State {
  if (succeeded === total) return 'SUCCEEDED';
  return live > 0 ? before : 'FAILED';
}

/** The same for a run that is repeated after a crash. */
export function requestIdOf({ workflowId, stepId, attempt }: StepRef): string {
  return `${workflowId}/${stepId}#${attempt}`;
}

/** The way back from `requestIdOf`. A step's id has neither "/" nor "#" in it. */
export function refOf(requestId: string): StepRef {
  const match = /^([^/]+)\/([^/#]+)#(\d+)$/.exec(requestId);
  if (!match) throw new Error(`no request id: ${requestId}`);
  return { workflowId: match[1]!, stepId: match[2]!, attempt: Number(match[3]) };
}

/** Half to all of the time that doubles with each retry: steps that failed together do not come back together. */
function retryDelayMs({ delayMs }: RetryPolicy, retries: number): number {
  return Math.min(delayMs * 2 ** retries, LONGEST_RETRY_DELAY_MS) * (0.5 + Math.random() / 2);
}

function jobOf(ref: StepRef, spec: Uint8Array, { traceparent }: WorkflowRow, inputs: StepJob['inputs']): StepJob {
  const step = decodeSpec(spec).steps.find(({ id }) => id === ref.stepId)!;
  return {
    ...ref,
    requestId: requestIdOf(ref),
    tool: step.tool as StepJob['tool'],
    params: step.params ?? {},
    resources: resourcesOf(step),
    traceparent: traceparent ?? undefined,
    inputs,
  };
}
