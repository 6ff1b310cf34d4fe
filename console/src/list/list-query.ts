import { BASE } from '../routes.ts';

/** What of the list is asked for: it is the query of the page's URL, so that it can be shared. */
export interface ListFilter {
  readonly state: string | undefined;
  /** Each `key=value`. */
  readonly labels: readonly string[];
}

export const STATES = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const;

export function readFilter(search: string): ListFilter {
  const parameters = new URLSearchParams(search);
  return { state: parameters.get('state') || undefined, labels: [...new Set(parameters.getAll('label'))] };
}

/** The path of the list with this filter. */
export function listPath({ state, labels }: ListFilter): string {
  const parameters = new URLSearchParams();
  if (state !== undefined) parameters.set('state', state);
  for (const label of labels) parameters.append('label', label);
  return parameters.size === 0 ? BASE : `${BASE}?${parameters}`;
}

/** What is wrong with a label to filter by; undefined: nothing (openapi.yaml, listWorkflows). */
export function labelFault(label: string): string | undefined {
  if (!/^[^=]+=/.test(label)) return 'Write it as key=value.';
  if (label.length > 512) return 'That is longer than 512 characters.';
  return undefined;
}
