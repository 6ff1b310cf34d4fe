import { distance, type Point } from './geometry.ts';
import type { Random } from './random.ts';
import { round } from './round.ts';
import { meanPlddt, type Structure } from './structure.ts';

/** Å: where the predictors' bins end. */
export const MAX_PAE = 31.75;
const MIN_PAE = 0.2;

/** Predicted aligned error in Å: how far off residue j is expected to be when the structures are aligned on residue i. */
export type PaeMatrix = readonly (readonly number[])[];

interface Placed {
  readonly chain: number;
  readonly ca: Point;
  readonly plddt: number;
}

/** An error matrix that fits the structure: small between near and confident residues, larger across chains. */
export function drawPae(structure: Structure, random: Random): PaeMatrix {
  const residues = placeResidues(structure);
  const doubt = (100 - meanPlddt(structure)) / 100;
  const reach = 400 / (1 + 8 * doubt);
  const interfaceDoubt = random.between(0.5, 8);
  return residues.map((aligned) =>
    residues.map((scored) => {
      const spread = MAX_PAE * (1 - Math.exp(-distance(aligned.ca, scored.ca) / reach));
      const softness = 0.7 + (100 - scored.plddt) / 60;
      const across = aligned.chain === scored.chain ? 0 : interfaceDoubt;
      const error = MIN_PAE + (spread * softness + across) * random.between(0.85, 1.15) + random.between(0, 0.15);
      return round(Math.min(MAX_PAE, error), 2);
    }),
  );
}

export function meanPae(pae: PaeMatrix): number {
  return pae.flat().reduce((sum, error) => sum + error, 0) / pae.length ** 2;
}

/** The predicted TM-score that follows from the errors (Jumper et al., 2021, section 1.9.7), 0 to 1. */
export function predictTm(pae: PaeMatrix): number {
  return tmScore(pae, () => true);
}

/**
 * The same over pairs in different chains (Evans et al., 2021). A single chain has no interface: its pTM stands in, as
 * it does in Boltz's confidence, so that ranking by iptm orders single chains too.
 */
export function predictInterfaceTm(pae: PaeMatrix, structure: Structure): number {
  if (structure.length === 1) return predictTm(pae);
  const chains = placeResidues(structure).map(({ chain }) => chain);
  return tmScore(pae, (i, j) => chains[i] !== chains[j]);
}

function tmScore(pae: PaeMatrix, counts: (i: number, j: number) => boolean): number {
  const scale = 1.24 * Math.cbrt(Math.max(pae.length, 19) - 15) - 1.8;
  const scores = pae.map((row, i) => {
    const errors = row.filter((_, j) => counts(i, j));
    return errors.reduce((sum, error) => sum + 1 / (1 + (error / scale) ** 2), 0) / errors.length;
  });
  return Math.max(...scores);
}

function placeResidues(structure: Structure): Placed[] {
  return structure.flatMap(({ residues }, chain) => residues.map(({ ca, plddt }) => ({ chain, ca, plddt })));
}
