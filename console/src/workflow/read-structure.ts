import type { StructureFormat } from './artifact-files.ts';
import { readAtomSite } from './read-atom-site.ts';
import { readNumber } from './read-number.ts';

export interface StructureAtom {
  readonly chain: string;
  /** Unlike that of any other residue of the chain. */
  readonly residue: string;
  /** What experiments have as the B factor, and predictions as the confidence. */
  readonly bFactor: number | undefined;
  readonly position: readonly number[];
}

export interface StructureFacts {
  readonly chains: readonly { readonly id: string; readonly residues: number; readonly atoms: number }[];
  readonly residues: number;
  readonly atoms: number;
  /** What a confidence of 100 is in the file's B factors; undefined: they are none. */
  readonly plddtScale: 1 | 100 | undefined;
  /** 0 to 100. */
  readonly meanPlddt: number | undefined;
}

/**
 * Counts what the first model of a structure has (wwPDB format 3.3, PDBx/mmCIF). Throws an Error with a sentence for
 * people when the text is no structure, or a damaged one.
 */
export function readStructure(text: string, format: StructureFormat): StructureFacts {
  const atoms = format === 'pdb' ? readPdbAtoms(text) : readAtomSite(text);
  if (atoms.length === 0) throw new Error('The file has no atoms.');
  const damaged = atoms.findIndex(({ position }) => !position.every(Number.isFinite));
  if (damaged >= 0) throw new Error(`The file is damaged: atom ${damaged + 1} has no position.`);
  const byChain = Map.groupBy(atoms, ({ chain }) => chain);
  const chains = [...byChain].map(([id, members]) => ({
    id,
    residues: new Set(members.map(({ residue }) => residue)).size,
    atoms: members.length,
  }));
  const residues = chains.reduce((sum, chain) => sum + chain.residues, 0);
  return { chains, residues, atoms: atoms.length, ...readPlddt(atoms) };
}

/** Confidences are 0 to 100, or 0 to 1, and not all the same: a file without them has a column of zeros or ones. */
function readPlddt(atoms: readonly StructureAtom[]): Pick<StructureFacts, 'plddtScale' | 'meanPlddt'> {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (const { bFactor } of atoms) {
    if (bFactor === undefined) return { plddtScale: undefined, meanPlddt: undefined };
    low = Math.min(low, bFactor);
    high = Math.max(high, bFactor);
    sum += bFactor;
  }
  if (low < 0 || high > 100 || low === high) return { plddtScale: undefined, meanPlddt: undefined };
  const plddtScale = high <= 1 ? 1 : 100;
  return { plddtScale, meanPlddt: (sum / atoms.length) * (100 / plddtScale) };
}

function readPdbAtoms(text: string): StructureAtom[] {
  const atoms: StructureAtom[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('ENDMDL')) break;
    if (!line.startsWith('ATOM  ') && !line.startsWith('HETATM')) continue;
    const column = (from: number, to: number) => line.slice(from - 1, to).trim();
    atoms.push({
      chain: column(22, 22) || '-',
      residue: column(23, 27),
      bFactor: readNumber(column(61, 66)),
      position: [column(31, 38), column(39, 46), column(47, 54)].map((value) => readNumber(value) ?? Number.NaN),
    });
  }
  return atoms;
}
