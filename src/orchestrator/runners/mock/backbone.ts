import { centroid, distance, type Point, place } from './geometry.ts';
import type { Random } from './random.ts';

type Kind = 'helix' | 'strand' | 'loop';

export interface BackboneResidue {
  readonly kind: Kind;
  readonly n: Point;
  readonly ca: Point;
  readonly c: Point;
  readonly o: Point;
  readonly cb: Point;
}

/** φ and ψ in degrees. */
interface Torsion {
  readonly kind: Kind;
  readonly phi: number;
  readonly psi: number;
}

// Ideal peptide geometry (Engh and Huber): Å and degrees.
const N_CA = 1.458;
const CA_C = 1.525;
const C_N = { length: 1.329, angle: 117.2 };
const C_O = { length: 1.231, angle: 120.1 };
const CA_CB = { length: 1.53, angle: 110.5, dihedral: -122.6 };
const ANGLE_C_N_CA = 121.7;
const ANGLE_N_CA_C = 111;

const HELIX = [-62, -42] as const;
const STRAND = [-118, 130] as const;
const LOOP = [
  [-65, 145],
  [-90, 0],
  [58, 42],
  [-120, 120],
] as const;

const CANDIDATES = 12;
const CLASH_DISTANCE = 4.8;

/**
 * A chain of `length` residues: helices and strands between short loops, each next element chosen from a few random
 * ones so that the chain folds back on itself and does not run through itself.
 */
export function growBackbone(length: number, random: Random): BackboneResidue[] {
  const strandShare = random.pick([0, 0.4, 0.8]);
  const residues: BackboneResidue[] = [];
  let lastPsi = 0;
  while (residues.length < length) {
    let best: { torsions: Torsion[]; grown: BackboneResidue[]; cost: number } | undefined;
    for (let candidate = 0; candidate < CANDIDATES; candidate++) {
      const torsions = drawElement(strandShare, random).slice(0, length - residues.length);
      const grown = extend(residues.at(-1), lastPsi, torsions);
      const cost = costOf(residues, grown);
      if (!best || cost < best.cost) best = { torsions, grown, cost };
    }
    residues.push(...best!.grown);
    lastPsi = best!.torsions.at(-1)!.psi;
  }
  return residues;
}

function drawElement(strandShare: number, random: Random): Torsion[] {
  const loop = Array.from({ length: random.whole(2, 5) }, () => wobble('loop', random.pick(LOOP), 15, random));
  const strand = random.fraction() < strandShare;
  const body = Array.from({ length: strand ? random.whole(5, 8) : random.whole(9, 18) }, () =>
    strand ? wobble('strand', STRAND, 8, random) : wobble('helix', HELIX, 3, random),
  );
  return [...loop, ...body];
}

function wobble(kind: Kind, [phi, psi]: readonly [number, number], degrees: number, random: Random): Torsion {
  return { kind, phi: phi + random.bell() * degrees, psi: psi + random.bell() * degrees };
}

function extend(last: BackboneResidue | undefined, lastPsi: number, torsions: readonly Torsion[]): BackboneResidue[] {
  const grown: BackboneResidue[] = [];
  let previous = last;
  let previousPsi = lastPsi;
  for (const { kind, phi, psi } of torsions) {
    const [n, ca, c] = previous ? follow(previous, previousPsi, phi) : begin();
    const o = place(n, ca, c, { ...C_O, dihedral: psi + 180 });
    const cb = place(c, n, ca, CA_CB);
    previous = { kind, n, ca, c, o, cb };
    previousPsi = psi;
    grown.push(previous);
  }
  return grown;
}

function begin(): [Point, Point, Point] {
  const n: Point = [0, 0, 0];
  const ca: Point = [N_CA, 0, 0];
  return [n, ca, place([0, 1, 0], n, ca, { length: CA_C, angle: ANGLE_N_CA_C, dihedral: 180 })];
}

function follow(previous: BackboneResidue, previousPsi: number, phi: number): [Point, Point, Point] {
  const n = place(previous.n, previous.ca, previous.c, { ...C_N, dihedral: previousPsi });
  const ca = place(previous.ca, previous.c, n, { length: N_CA, angle: ANGLE_C_N_CA, dihedral: 180 });
  return [n, ca, place(previous.c, n, ca, { length: CA_C, angle: ANGLE_N_CA_C, dihedral: phi })];
}

/** Lower is better: clashes first, then the distance from the middle of what is there. */
function costOf(residues: readonly BackboneResidue[], grown: readonly BackboneResidue[]): number {
  const all = [...residues, ...grown].map(({ ca }) => ca);
  const middle = centroid(all);
  let cost = 0;
  for (let i = residues.length; i < all.length; i++) {
    const ca = all[i]!;
    cost += distance(ca, middle);
    for (let j = 0; j < i - 2; j++) {
      if (distance(ca, all[j]!) < CLASH_DISTANCE) cost += 1000;
    }
  }
  return cost / grown.length;
}
