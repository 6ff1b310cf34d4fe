import { refuse } from '../step-failure.ts';
import type { Random } from './random.ts';

export const MAX_RESIDUES = 400;
const MAX_CHAINS = 26;

interface Segment {
  readonly min: number;
  readonly max: number;
}

/** The segments of each chain. */
export type Contigs = readonly (readonly Segment[])[];

/**
 * Reads RFdiffusion's contig language: `100-120` is a stretch of 100 to 120 new residues, `30` one of 30, `A1-50` takes
 * residues 1 to 50 of chain A, `/` joins stretches and `/0 ` (or a space) begins another chain. Throws StepFailure.
 */
export function readContigs(text: string): Contigs {
  const inner = text.trim().replace(/^\[(.*)\]$/s, '$1');
  const chains = inner
    .split(/\/0(?=\s|$)|\s+/)
    .map((chain) => chain.trim())
    .filter((chain) => chain !== '')
    .map((chain) => chain.split('/').map((part) => readSegment(part, text)));
  if (chains.length === 0) throw refuse('INVALID_CONTIG', 'params.contigs is empty');
  if (chains.length > MAX_CHAINS) {
    throw refuse('INVALID_CONTIG', `params.contigs has ${chains.length} chains, but at most ${MAX_CHAINS} may be`);
  }
  const longest = chains.flat().reduce((sum, segment) => sum + segment.max, 0);
  if (longest > MAX_RESIDUES) {
    throw refuse(
      'INVALID_CONTIG',
      `params.contigs asks for up to ${longest} residues, but at most ${MAX_RESIDUES} may be`,
    );
  }
  return chains;
}

/** The number of residues of each chain, each stretch drawn from its range. */
export function drawLengths(contigs: Contigs, random: Random): number[] {
  return contigs.map((chain) => chain.reduce((sum, { min, max }) => sum + random.whole(min, max), 0));
}

function readSegment(part: string, text: string): Segment {
  const match = /^([A-Za-z]?)(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
  if (!match) {
    const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
    throw refuse(
      'INVALID_CONTIG',
      `params.contigs ${JSON.stringify(shown)} cannot be read at ${JSON.stringify(part.slice(0, 40))}`,
    );
  }
  const first = Number(match[2]);
  const last = match[3] === undefined ? first : Number(match[3]);
  if (first < 1 || last < first) {
    throw refuse('INVALID_CONTIG', `params.contigs has the range "${part}", but a range rises from 1 or more`);
  }
  // A stretch that is taken from the input is as long as its range; a new one has a length within it.
  if (match[1]) return { min: last - first + 1, max: last - first + 1 };
  return { min: first, max: last };
}
