import { readNumber } from './read-number.ts';
import type { StructureAtom } from './read-structure.ts';

const TOKEN = /#.*|'(?:[^']|'(?=\S))*'|"(?:[^"]|"(?=\S))*"|\S+/g;
const LOOP_END = /^(?:loop_|_|data_|#)/i;

/**
 * The atoms of the first model of a PDBx/mmCIF text: the rows of its `atom_site` loop (CIF 1.1 syntax). Throws an Error
 * with a sentence for people when there is no such loop, or its last row breaks off.
 */
export function readAtomSite(text: string): StructureAtom[] {
  const lines = text.split(/\r?\n/);
  const start = lines.findIndex((line) => /^_atom_site\./i.test(line.trim()));
  if (start < 0) throw new Error('The file has no atoms.');
  const names: string[] = [];
  let index = start;
  for (; index < lines.length && /^_atom_site\./i.test(lines[index]!.trim()); index++) {
    names.push(lines[index]!.trim().slice('_atom_site.'.length).split(/\s/)[0]!.toLowerCase());
  }
  const values: string[] = [];
  for (; index < lines.length && !LOOP_END.test(lines[index]!.trim()); index++) {
    for (const [token] of lines[index]!.matchAll(TOKEN)) {
      if (!token.startsWith('#')) values.push(token.replace(/^(['"])(.*)\1$/, '$2'));
    }
  }
  if (values.length % names.length !== 0) throw new Error('The file is damaged: its last atom breaks off.');
  return toAtoms(names, values);
}

function toAtoms(names: readonly string[], values: readonly string[]): StructureAtom[] {
  const place = (...wanted: string[]) => names.indexOf(wanted.find((name) => names.includes(name)) ?? '');
  const chain = place('auth_asym_id', 'label_asym_id');
  const residue = place('auth_seq_id', 'label_seq_id');
  const insertion = place('pdbx_pdb_ins_code');
  const bFactor = place('b_iso_or_equiv');
  const model = place('pdbx_pdb_model_num');
  const position = [place('cartn_x'), place('cartn_y'), place('cartn_z')];
  const atoms: StructureAtom[] = [];
  const firstModel = values[model];
  for (let row = 0; row < values.length; row += names.length) {
    const at = (column: number) => (column < 0 ? undefined : values[row + column]);
    if (at(model) !== firstModel) break;
    atoms.push({
      chain: at(chain) ?? '-',
      residue: `${at(residue) ?? ''}${at(insertion) ?? ''}`,
      bFactor: readNumber(at(bFactor)),
      position: position.map((column) => readNumber(at(column)) ?? Number.NaN),
    });
  }
  return atoms;
}
