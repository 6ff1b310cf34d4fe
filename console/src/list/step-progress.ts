import type { Workflow } from '../api.ts';

/** How many steps have succeeded, of how many, and how much of the whole is done (0 to 1). */
export function stepProgress({ steps, step_statuses: statuses }: Pick<Workflow, 'steps' | 'step_statuses'>) {
  const done = statuses.filter(({ state }) => state === 'SUCCEEDED').length;
  const sum = statuses.reduce((total, { state, fraction }) => total + (state === 'SUCCEEDED' ? 1 : fraction), 0);
  const total = steps.length;
  return { done, total, fraction: total === 0 ? 0 : Math.min(1, Math.max(0, sum / total)) };
}
