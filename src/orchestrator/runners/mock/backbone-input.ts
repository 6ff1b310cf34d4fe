import type { ArtifactRecord, StepOutput } from '../runner.ts';

const STRUCTURES = new Set(['chemical/x-pdb', 'chemical/x-mmcif']);

/** The structure among the inputs with the highest pLDDT, or undefined when there is none. */
export function bestBackbone(inputs: readonly StepOutput[]): ArtifactRecord | undefined {
  const [best] = inputs
    .flatMap((input) => input.artifacts)
    .filter(({ contentType }) => STRUCTURES.has(contentType))
    // Equal values are settled by content: the order of the inputs says nothing.
    .sort((a, b) => (b.metrics.plddt ?? 0) - (a.metrics.plddt ?? 0) || (a.sha256 < b.sha256 ? -1 : 1));
  return best;
}
