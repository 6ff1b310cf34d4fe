import type { Workflow } from '../api.ts';

/** What people rank by, the most telling first. A length is a metric too, but says nothing about how good a design is. */
const TELLING = [
  'plddt',
  'mean_plddt',
  'confidence_score',
  'iptm',
  'ptm',
  'pae',
  'rmsd',
  'global_score',
  'seq_recovery',
];

/** The names of the metrics that something in the workflow has: the telling ones first, then those that most have. */
export function metricsOf({ step_statuses }: Pick<Workflow, 'step_statuses'>): string[] {
  const counts = new Map<string, number>();
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { state, outputs, sequences } of step_statuses) {
    // Only what finished steps made is ranked.
    if (state !== 'SUCCEEDED') continue;
    for (const { metrics } of outputs) for (const name of Object.keys(metrics)) count(name);
    for (const { global_score, seq_recovery } of sequences) {
      if (global_score !== undefined) count('global_score');
      if (seq_recovery !== undefined) count('seq_recovery');
    }
  }
  const place = (name: string) => TELLING.indexOf(name) + 1 || TELLING.length + 1;
  return [...counts].sort(([a, m], [b, n]) => place(a) - place(b) || n - m || (a < b ? -1 : 1)).map(([name]) => name);
}

const LOWER_IS_BETTER = ['pae', 'global_score', 'rmsd'];

/** Which end of the metric the server takes for the best when it is not told (openapi.yaml, RankRequest). */
export function isLowerBetter(metric: string): boolean {
  return LOWER_IS_BETTER.includes(metric);
}
