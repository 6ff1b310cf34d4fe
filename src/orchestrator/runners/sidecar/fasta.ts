import { bestDesignedSequence } from '../best-inputs.ts';
import type { StepOutput } from '../runner.ts';
import { refuse } from '../step-failure.ts';

/** The residues of each chain of the first record, in capitals: ProteinMPNN writes "/" between chains, others ":". */
export function chainsOfFasta(fasta: string): string[] {
  const [, ...first] = fasta.trimStart().startsWith('>') ? fasta.trimStart().split('\n') : ['', ...fasta.split('\n')];
  const end = first.findIndex((line) => line.startsWith('>'));
  const residues = (end < 0 ? first : first.slice(0, end)).join('').replace(/\s+/g, '').toUpperCase();
  return residues.split(/[/:]/).filter((chain) => chain !== '');
}

/** The chains of the best sequence that the earlier steps designed. Throws StepFailure, INVALID_INPUT. */
export function bestChains(inputs: readonly StepOutput[], missing: string): string[] {
  const best = bestDesignedSequence(inputs);
  if (!best) {
    throw refuse('INVALID_INPUT', `${missing} is missing, and no step that this one depends on designed a sequence`);
  }
  const chains = chainsOfFasta(best.fasta);
  if (chains.length === 0 || chains.some((chain) => !/^[A-Z]+$/.test(chain))) {
    throw refuse('INVALID_INPUT', 'the best designed sequence has something else than one-letter codes');
  }
  return chains;
}
