import { threeLetterCode } from './sequences.ts';
import type { Structure } from './structure.ts';

type Cell = string | number;

/**
 * The structure as PDBx/mmCIF (CIF 1.1 syntax), with pLDDT as the B factor. Chains with the same sequence are one entity.
 * `name` is letters, digits, "_" and "-".
 */
export function writeMmcif(structure: Structure, name: string): string {
  const sequences = [...new Set(structure.map(({ sequence }) => sequence))];
  const entityOf = (sequence: string) => sequences.indexOf(sequence) + 1;
  const strandsOf = (sequence: string) =>
    structure
      .filter((chain) => chain.sequence === sequence)
      .map(({ id }) => id)
      .join(',');
  return [
    `data_${name}\n`,
    `_entry.id ${name}\n`,
    `_struct.entry_id ${name}\n_struct.title 'PREDICTION, MADE WITHOUT A MODEL'\n`,
    `_exptl.entry_id ${name}\n_exptl.method 'THEORETICAL MODEL'\n`,
    writeLoop(
      'entity',
      ['id', 'type', 'pdbx_description'],
      sequences.map((_, i) => [i + 1, 'polymer', `'protein ${i + 1}'`]),
    ),
    writeLoop(
      'entity_poly',
      ['entity_id', 'type', 'nstd_linkage', 'nstd_monomer', 'pdbx_seq_one_letter_code', 'pdbx_strand_id'],
      sequences.map((sequence, i) => [i + 1, 'polypeptide(L)', 'no', 'no', sequence, strandsOf(sequence)]),
    ),
    writeLoop(
      'entity_poly_seq',
      ['entity_id', 'num', 'mon_id', 'hetero'],
      sequences.flatMap((sequence, i) =>
        [...sequence].map((letter, j) => [i + 1, j + 1, threeLetterCode(letter), 'n']),
      ),
    ),
    writeLoop(
      'struct_asym',
      ['id', 'entity_id'],
      structure.map(({ id, sequence }) => [id, entityOf(sequence)]),
    ),
    writeLoop('atom_site', ATOM_COLUMNS, atomRows(structure, entityOf)),
  ].join('#\n');
}

const ATOM_COLUMNS = [
  'group_PDB',
  'id',
  'type_symbol',
  'label_atom_id',
  'label_alt_id',
  'label_comp_id',
  'label_asym_id',
  'label_entity_id',
  'label_seq_id',
  'pdbx_PDB_ins_code',
  'Cartn_x',
  'Cartn_y',
  'Cartn_z',
  'occupancy',
  'B_iso_or_equiv',
  'auth_seq_id',
  'auth_asym_id',
  'pdbx_PDB_model_num',
];

function atomRows(structure: Structure, entityOf: (sequence: string) => number): Cell[][] {
  const rows: Cell[][] = [];
  for (const { id, sequence, residues } of structure) {
    const entity = entityOf(sequence);
    for (const [index, residue] of residues.entries()) {
      const number = index + 1;
      for (const { name, element, position } of residue.atoms) {
        const [x, y, z] = position.map((value) => value.toFixed(3)) as [string, string, string];
        const place = [name, '.', residue.name, id, entity, number, '?', x, y, z];
        rows.push(['ATOM', rows.length + 1, element, ...place, '1.00', residue.plddt.toFixed(2), number, id, 1]);
      }
    }
  }
  return rows;
}

function writeLoop(category: string, columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const names = columns.map((column) => `_${category}.${column}\n`).join('');
  return `loop_\n${names}${rows.map((row) => `${row.join(' ')}\n`).join('')}`;
}
