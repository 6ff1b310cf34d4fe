import { createHash } from 'node:crypto';
import type { StepJob } from '../runner.ts';

/**
 * A digest of what determines a step's results: the tool, its parameters and the content of its inputs. Ids, attempts
 * and `params.mock`, which only says how a run goes, are left out, so that equal work has equal results.
 */
export function seedOf({ tool, params, inputs }: StepJob): string {
  const { mock: _, ...asked } = params;
  const contents = Object.values(inputs)
    .map(({ artifacts, sequences }) =>
      JSON.stringify([artifacts.map(({ sha256 }) => sha256), sequences.map(({ fasta }) => fasta)]),
    )
    // By content, since the ids of the steps that made them say nothing.
    .sort();
  return createHash('sha256')
    .update(JSON.stringify([tool, sortKeys(asked), contents]))
    .digest('hex');
}

/** The database may hand the keys back in another order. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, sortKeys(inner)] as const);
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}
