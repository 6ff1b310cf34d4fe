import { bestDesignedSequence } from '../best-inputs.ts';
import type { SequenceRecord, StepOutput } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import { MAX_RESIDUES } from './contigs.ts';
import type { Random } from './random.ts';

/** Ubiquitin: what is folded when nothing else is said. */
export const DEFAULT_SEQUENCE = 'MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG';

/** Each amino acid: its letter, its three letters, and its share of natural proteins in percent (UniProtKB/Swiss-Prot). */
const AMINO_ACIDS: readonly (readonly [letter: string, code: string, percent: number])[] = [
  ['A', 'ALA', 8.25],
  ['R', 'ARG', 5.53],
  ['N', 'ASN', 4.06],
  ['D', 'ASP', 5.46],
  ['C', 'CYS', 1.38],
  ['Q', 'GLN', 3.93],
  ['E', 'GLU', 6.72],
  ['G', 'GLY', 7.07],
  ['H', 'HIS', 2.27],
  ['I', 'ILE', 5.91],
  ['L', 'LEU', 9.65],
  ['K', 'LYS', 5.8],
  ['M', 'MET', 2.41],
  ['F', 'PHE', 3.86],
  ['P', 'PRO', 4.74],
  ['S', 'SER', 6.65],
  ['T', 'THR', 5.36],
  ['W', 'TRP', 1.1],
  ['Y', 'TYR', 2.92],
  ['V', 'VAL', 6.86],
];
const TOTAL_PERCENT = AMINO_ACIDS.reduce((sum, [, , percent]) => sum + percent, 0);
const CODES = new Map(AMINO_ACIDS.map(([letter, code]) => [letter, code]));

export function threeLetterCode(letter: string): string {
  return CODES.get(letter)!;
}

/** A sequence of `length` residues that begins with M and has the composition of natural proteins. */
export function drawSequence(length: number, random: Random): string {
  return `M${Array.from({ length: length - 1 }, () => drawLetter(random)).join('')}`;
}

function drawLetter(random: Random): string {
  let left = random.fraction() * TOTAL_PERCENT;
  for (const [letter, , percent] of AMINO_ACIDS) {
    left -= percent;
    if (left < 0) return letter;
  }
  return 'V';
}

/** One-letter codes in capitals, white space removed. `name` is the parameter's, for the StepFailure that it throws. */
export function readSequence(text: string, name: string): string {
  const sequence = text.replace(/\s+/g, '').toUpperCase();
  if (sequence === '') throw refuse('INVALID_SEQUENCE', `${name} is empty`);
  const position = [...sequence].findIndex((letter) => !CODES.has(letter));
  if (position >= 0) {
    const letter = JSON.stringify([...sequence][position]);
    throw refuse('INVALID_SEQUENCE', `${name} has ${letter} at position ${position + 1}, which is no amino acid`);
  }
  if (sequence.length > MAX_RESIDUES) {
    throw refuse('INVALID_SEQUENCE', `${name} has ${sequence.length} residues, but at most ${MAX_RESIDUES} may be`);
  }
  return sequence;
}

/** The designed sequence with the lowest global score, or undefined when the inputs have none. */
export function bestSequence(inputs: readonly StepOutput[]): string | undefined {
  const best = bestDesignedSequence(inputs);
  return best && readSequence(residuesOf(best), 'the best designed sequence');
}

function residuesOf({ fasta }: SequenceRecord): string {
  return fasta
    .split('\n')
    .filter((line) => !line.startsWith('>'))
    .join('');
}
