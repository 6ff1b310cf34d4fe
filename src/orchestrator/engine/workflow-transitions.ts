import type { Billing } from '../accounts/billing.ts';
import { failedPrecondition, workflowNotFound } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { cancelLiveSteps, requeueFailedSteps } from '../store/steps.ts';
import { isTerminal, lockWorkflow, readContent, type WorkflowWithSteps } from '../store/workflows.ts';
import type { ChangeWorkflow } from './change-workflow.ts';
import { record } from './record.ts';
import type { StepQueue } from './step-queue.ts';
import type { StepRuns } from './step-runs.ts';

/** What callers do to a workflow that was accepted. `principal` undefined may act on every workflow. */
export interface WorkflowTransitions {
  /** A finished workflow is answered as it is. Throws NOT_FOUND. */
  readonly cancel: (id: string, principal: string | undefined) => Promise<WorkflowWithSteps>;
  /** Throws NOT_FOUND, FAILED_PRECONDITION unless the workflow has failed, and INSUFFICIENT_CREDITS. */
  readonly retry: (id: string, principal: string | undefined) => Promise<WorkflowWithSteps>;
}

export interface WorkflowTransitionsParts {
  readonly change: ChangeWorkflow;
  readonly queue: StepQueue;
  readonly runs: StepRuns;
  readonly billing: Billing;
  readonly metrics: Metrics;
}

export function createWorkflowTransitions(parts: WorkflowTransitionsParts): WorkflowTransitions {
  const { change, queue, runs, billing, metrics } = parts;

  async function cancel(id: string, principal: string | undefined): Promise<WorkflowWithSteps> {
    const { workflow, cancelled } = await change(id, async (connection) => {
      const before = await lockWorkflow(connection, id, principal);
      if (!before) throw workflowNotFound();
      if (isTerminal(before.state)) {
        return { workflow: { ...before, ...(await readContent(connection, id)) }, cancelled: [] };
      }
      const cancelled = await cancelLiveSteps(connection, id);
      const content = await readContent(connection, id);
      const changes = [...cancelled.map((step) => ({ step })), { workflow: content }];
      const after = await record(connection, id, 'CANCELLED', changes);
      return { workflow: { ...after, ...content }, cancelled };
    });
    if (cancelled.length > 0) {
      metrics.workflowFinished(workflow);
      for (const { tool } of cancelled) metrics.stepFinished(tool, 'cancelled');
      runs.cancel(id, cancelled);
      queue.cancel(id, cancelled);
    }
    return workflow;
  }

  async function retry(id: string, principal: string | undefined): Promise<WorkflowWithSteps> {
    return await change(id, async (connection) => {
      const before = await lockWorkflow(connection, id, principal);
      if (!before) throw workflowNotFound();
      if (before.state !== 'FAILED') {
        throw failedPrecondition(`only a failed workflow can be retried; this one is ${before.state.toLowerCase()}`);
      }
      const requeued = await requeueFailedSteps(connection, id);
      const content = await readContent(connection, id);
      await billing.chargeAgain(connection, before, content.steps.length);
      // The workflow comes first: whoever follows it learns that it is open again before its steps move.
      const changes = [{ workflow: content }, ...requeued.map((step) => ({ step }))];
      const after = await record(connection, id, 'QUEUED', changes);
      await queue.enqueue(connection, before, requeued);
      return { ...after, ...content };
    });
  }

  return { cancel, retry };
}
