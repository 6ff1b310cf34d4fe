import { type BackboneResidue, growBackbone } from './backbone.ts';
import { add, centroid, type Point } from './geometry.ts';
import type { Random } from './random.ts';
import { round } from './round.ts';
import { threeLetterCode } from './sequences.ts';

export interface Atom {
  /** As the PDB names it: N, CA, C, O, CB. */
  readonly name: string;
  readonly element: 'N' | 'C' | 'O';
  readonly position: Point;
}

export interface Residue {
  /** Three letters. */
  readonly name: string;
  /** 0 to 100; written where experiments write the B factor. */
  readonly plddt: number;
  readonly ca: Point;
  readonly atoms: readonly Atom[];
}

export interface ChainStructure {
  readonly id: string;
  /** One letter each. */
  readonly sequence: string;
  readonly residues: readonly Residue[];
}

export type Structure = readonly ChainStructure[];

const CHAIN_GAP = 6;

/** Folds each chain and sets them side by side. `confidence` bounds the pLDDT of every residue. */
export function foldChains(
  chains: readonly { readonly id: string; readonly sequence: string }[],
  confidence: { readonly min: number; readonly max: number },
  random: Random,
): Structure {
  const target = random.between(confidence.min + 0.55 * (confidence.max - confidence.min), confidence.max - 2);
  const folded = chains.map(({ id, sequence }) => {
    const backbone = growBackbone(sequence.length, random);
    const plddts = drawPlddts(backbone, target, confidence, random);
    return { id, sequence, backbone, plddts };
  });
  const shifts = arrange(folded.map(({ backbone }) => backbone.map(({ ca }) => ca)));
  return folded.map(({ id, sequence, backbone, plddts }, chain) => ({
    id,
    sequence,
    residues: backbone.map((residue, i) => toResidue(sequence[i]!, residue, plddts[i]!, shifts[chain]!)),
  }));
}

/** The mean over all residues, 0 to 100. */
export function meanPlddt(structure: Structure): number {
  const residues = structure.flatMap((chain) => chain.residues);
  return residues.reduce((sum, { plddt }) => sum + plddt, 0) / residues.length;
}

function drawPlddts(
  backbone: readonly BackboneResidue[],
  target: number,
  { min, max }: { min: number; max: number },
  random: Random,
): number[] {
  return backbone.map(({ kind }, i) => {
    const fromEnd = Math.min(i, backbone.length - 1 - i);
    const fraying = 12 * Math.exp(-fromEnd / 2);
    const value = target - fraying - (kind === 'loop' ? 5 : 0) + 2 * random.bell();
    return round(Math.min(max, Math.max(min, value)), 2);
  });
}

/** Where each chain goes, so that their boxes stand in a row along x and the row's middle is the origin. */
function arrange(chains: readonly (readonly Point[])[]): Point[] {
  let end = 0;
  const shifts = chains.map((points): Point => {
    const middle = centroid(points);
    const xs = points.map(([x]) => x);
    const shift = end - Math.min(...xs);
    end += Math.max(...xs) - Math.min(...xs) + CHAIN_GAP;
    return [shift, -middle[1], -middle[2]];
  });
  const half = (end - CHAIN_GAP) / 2;
  return shifts.map((shift) => add(shift, [-half, 0, 0]));
}

function toResidue(letter: string, { n, ca, c, o, cb }: BackboneResidue, plddt: number, shift: Point): Residue {
  const atoms: Atom[] = [
    { name: 'N', element: 'N', position: add(n, shift) },
    { name: 'CA', element: 'C', position: add(ca, shift) },
    { name: 'C', element: 'C', position: add(c, shift) },
    { name: 'O', element: 'O', position: add(o, shift) },
  ];
  if (letter !== 'G') atoms.push({ name: 'CB', element: 'C', position: add(cb, shift) });
  return { name: threeLetterCode(letter), plddt, ca: add(ca, shift), atoms };
}
