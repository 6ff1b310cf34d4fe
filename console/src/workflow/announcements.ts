import type { State, Workflow } from '../api.ts';

const WORDS: Readonly<Record<State, string>> = {
  QUEUED: 'is waiting',
  RUNNING: 'is running',
  SUCCEEDED: 'has succeeded',
  FAILED: 'has failed',
  CANCELLED: 'was cancelled',
  UNKNOWN: 'is in a state that this page does not know',
};

/**
 * What to tell somebody who cannot see the page, when the workflow was `before` and is `now`: that it has changed its
 * state, and which steps have ended. Nothing about progress, which would never be quiet. Empty: nothing.
 */
export function announce(before: Workflow | undefined, now: Workflow): string {
  if (!before) return '';
  const was = new Map(before.step_statuses.map(({ step_id, state }) => [step_id, state]));
  const ended = now.step_statuses.filter(({ step_id, state }) => was.get(step_id) !== state && hasEnded(state));
  const sentences = ended
    .filter(({ state }) => state !== 'CANCELLED')
    .map(({ step_id, state, error }) => `Step ${step_id} ${WORDS[state]}${error ? `: ${error.message}` : ''}.`);
  if (before.state !== now.state) sentences.push(`The workflow ${WORDS[now.state]}.`);
  else if (sentences.length > 0) sentences.push(`${countDone(now)} of ${now.steps.length} steps are done.`);
  return sentences.join(' ');
}

function hasEnded(state: State): boolean {
  return state === 'SUCCEEDED' || state === 'FAILED' || state === 'CANCELLED';
}

export function countDone({ step_statuses }: Pick<Workflow, 'step_statuses'>): number {
  return step_statuses.filter(({ state }) => state === 'SUCCEEDED').length;
}
