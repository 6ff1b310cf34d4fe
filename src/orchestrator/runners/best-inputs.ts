import type { ArtifactRecord, SequenceRecord, StepOutput } from './runner.ts';

const STRUCTURES = new Set(['chemical/x-pdb', 'chemical/x-mmcif']);

/** The structure among the inputs that its maker trusts most, or undefined when there is none. */
export function bestStructure(inputs: readonly StepOutput[]): ArtifactRecord | undefined {
  const [best] = inputs
    .flatMap((input) => input.artifacts)
    .filter(({ contentType }) => STRUCTURES.has(contentType))
    // Equal values are settled by content: the order of the inputs says nothing.
    .sort((a, b) => confidenceOf(b) - confidenceOf(a) || (identityOf(a) < identityOf(b) ? -1 : 1));
  return best;
}

/** The designed sequence with the lowest global score, or undefined when the inputs have none. */
export function bestDesignedSequence(inputs: readonly StepOutput[]): SequenceRecord | undefined {
  const [best] = inputs
    .flatMap((input) => input.sequences)
    .sort((a, b) => a.globalScore - b.globalScore || a.sampleIndex - b.sampleIndex || (a.fasta < b.fasta ? -1 : 1));
  return best;
}

/** Boltz tells of its confidence from 0 to 1, the others of a pLDDT from 0 to 100. */
function confidenceOf({ metrics }: ArtifactRecord): number {
  return metrics.plddt ?? metrics.mean_plddt ?? 100 * (metrics.confidence_score ?? 0);
}

function identityOf({ sha256, uri }: ArtifactRecord): string {
  return sha256 || uri;
}
