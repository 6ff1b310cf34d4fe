import type { StepStatus, Workflow, WorkflowEvent } from '../api.ts';

/** A workflow as this page knows it. */
export interface Followed {
  readonly workflow: Workflow;
  /** When it was as an answer of the API said, in milliseconds since 1970: events of before are part of it already. */
  readonly readAt: number;
}

/** Takes in what a call answered, unless a later state is known. */
export function applyAnswer(followed: Followed | undefined, answer: Workflow): Followed {
  const readAt = timeOf(answer.updated_at) ?? Number.NEGATIVE_INFINITY;
  const known = timeOf(followed?.workflow.updated_at) ?? Number.NEGATIVE_INFINITY;
  return followed && readAt < known ? followed : { workflow: answer, readAt };
}

/**
 * Takes in one event of the stream. An event that is older than what a call has answered changes nothing: the stream may
 * lag behind an answer, and a step must not seem to run again that was cancelled.
 */
export function applyEvent(followed: Followed, event: WorkflowEvent): Followed {
  const { step_update: step, workflow_update: update } = event;
  const at = timeOf(update?.updated_at ?? event.at);
  if (at !== undefined && at < followed.readAt) return followed;
  if (update) return { ...followed, workflow: update };
  if (!step) return followed;
  const { workflow } = followed;
  return {
    ...followed,
    workflow: { ...workflow, ...laterOf(workflow, event), step_statuses: withStep(workflow.step_statuses, step) },
  };
}

function withStep(statuses: readonly StepStatus[], step: StepStatus): StepStatus[] {
  const isKnown = statuses.some(({ step_id }) => step_id === step.step_id);
  return isKnown ? statuses.map((status) => (status.step_id === step.step_id ? step : status)) : [...statuses, step];
}

function laterOf(workflow: Workflow, { at }: WorkflowEvent): Pick<Workflow, 'updated_at'> {
  const before = timeOf(workflow.updated_at);
  const now = timeOf(at);
  return at !== undefined && now !== undefined && (before === undefined || now > before) ? { updated_at: at } : {};
}

function timeOf(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Whether nothing more will happen unless somebody retries. */
export function isOver({ state }: Pick<Workflow, 'state'>): boolean {
  return state === 'SUCCEEDED' || state === 'FAILED' || state === 'CANCELLED';
}
