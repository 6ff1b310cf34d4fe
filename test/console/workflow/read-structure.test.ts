import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readStructure } from '../../../console/src/workflow/read-structure.ts';
import { colourBy } from '../../../console/src/workflow/structure-colours.ts';
import { writeMmcif } from '../../../src/orchestrator/runners/mock/mmcif.ts';
import { writePdb } from '../../../src/orchestrator/runners/mock/pdb.ts';
import { createRandom } from '../../../src/orchestrator/runners/mock/random.ts';
import { foldChains, meanPlddt } from '../../../src/orchestrator/runners/mock/structure.ts';

const chains = [
  { id: 'A', sequence: 'MQIFGKT' },
  { id: 'B', sequence: 'GGGG' },
];
const structure = foldChains(chains, { min: 60, max: 95 }, createRandom('a structure'));
const pdb = writePdb(structure, 'TITLE', []);
const cif = writeMmcif(structure, 'a_structure');

const atom = (serial: number, chain: string, residue: string, bFactor: string, x = '   1.000') =>
  `ATOM  ${String(serial).padStart(5)}  CA  GLY ${chain}${residue}   ${x}   2.000   3.000  1.00${bFactor.padStart(6)}           C\n`;

describe('readStructure', () => {
  for (const [format, text] of [
    ['pdb', pdb],
    ['mmcif', cif],
    ['pdb', pdb.replaceAll('\n', '\r\n')],
    ['mmcif', cif.replaceAll('\n', '\r\n')],
  ] as const) {
    it(`counts what a ${format} file has`, () => {
      const facts = readStructure(text, format);
      assert.deepEqual(facts.chains, [
        // Glycine has no side chain.
        { id: 'A', residues: 7, atoms: 34 },
        { id: 'B', residues: 4, atoms: 16 },
      ]);
      assert.equal(facts.residues, 11);
      assert.equal(facts.atoms, 50);
      assert.equal(facts.plddtScale, 100);
      assert.ok(facts.meanPlddt! > 60 && facts.meanPlddt! < 95);
      assert.ok(Math.abs(facts.meanPlddt! - meanPlddt(structure)) < 3);
    });
  }

  it('counts the first model alone', () => {
    const model = atom(1, 'A', '   1 ', '50.00') + atom(2, 'A', '   2 ', '60.00');
    const facts = readStructure(`MODEL        1\n${model}ENDMDL\nMODEL        2\n${model}ENDMDL\n`, 'pdb');
    assert.equal(facts.atoms, 2);
    const site = '_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n_atom_site.pdbx_PDB_model_num\n';
    assert.equal(readStructure(`loop_\n${site}1 2 3 1\n1 2 3 1\n1 2 3 2\n#\n`, 'mmcif').atoms, 2);
  });

  it('tells residues apart by their insertion code', () => {
    assert.equal(readStructure(atom(1, 'A', '   1 ', '1.00') + atom(2, 'A', '   1A', '2.00'), 'pdb').residues, 2);
  });

  it('reads quoted values, and rows that are broken into lines', () => {
    const site = ['label_atom_id', 'Cartn_x', 'Cartn_y', 'Cartn_z', 'auth_asym_id', 'auth_seq_id'];
    const text = `data_x\nloop_\n${site.map((name) => `_atom_site.${name}\n`).join('')}"C5'" 1 2\n3 A 1\n'O"' 1 2 3 A 2 # a comment\n# end\n_cell.length_a 1\n`;
    const facts = readStructure(text, 'mmcif');
    assert.deepEqual([facts.atoms, facts.residues, facts.chains[0]?.id], [2, 2, 'A']);
    assert.equal(facts.plddtScale, undefined, 'no column, no confidence');
  });

  for (const [what, values, scale] of [
    ['confidences from 0 to 100', ['42.00', '90.50'], 100],
    ['confidences from 0 to 1', ['0.42', '0.90'], 1],
    ['a column of zeros', ['0.00', '0.00'], undefined],
    ['more than 100', ['20.00', '120.00'], undefined],
    ['less than 0', ['-3.00', '20.00'], undefined],
    ['an empty column', ['', ''], undefined],
  ] as const) {
    it(`sees ${what}`, () => {
      const text = values
        .map((value, index) => atom(index + 1, 'A', `${index + 1}`.padStart(4).padEnd(5), value))
        .join('');
      assert.equal(readStructure(text, 'pdb').plddtScale, scale);
    });
  }

  it('says what is wrong with a file', () => {
    assert.throws(() => readStructure('', 'pdb'), /has no atoms/);
    assert.throws(() => readStructure('<html></html>', 'mmcif'), /has no atoms/);
    assert.throws(
      () => readStructure(atom(1, 'A', '   1 ', '1.00', '  1.0x00'), 'pdb'),
      /damaged: atom 1 has no position/,
    );
    const lastRow = cif.trimEnd().lastIndexOf(' ');
    assert.throws(() => readStructure(cif.slice(0, lastRow), 'mmcif'), /damaged: its last atom breaks off/);
    assert.throws(() => readStructure(`${pdb.slice(0, pdb.lastIndexOf('ATOM') + 40)}\n`, 'pdb'), /damaged/);
  });
});

describe('colourBy', () => {
  const facts = readStructure(pdb, 'pdb');

  it('has a colour for each band of confidence', () => {
    const { colourOf, legend } = colourBy('confidence', facts);
    const colours = [95, 90, 89.99, 70, 69, 50, 49, 0].map((b) =>
      legend.findIndex(({ colour }) => colour === colourOf({ b })),
    );
    assert.deepEqual(colours, [0, 0, 1, 1, 2, 2, 3, 3]);
    assert.equal(colourBy('confidence', { ...facts, plddtScale: 1 }).colourOf({ b: 0.95 }), legend[0]?.colour);
  });

  it('has a colour for each chain', () => {
    const { colourOf, legend } = colourBy('chain', facts);
    assert.deepEqual(
      legend.map(({ text }) => text),
      ['Chain A', 'Chain B'],
    );
    assert.equal(colourOf({ chain: 'B' }), legend[1]?.colour);
    assert.notEqual(colourOf({ chain: 'A' }), colourOf({ chain: 'B' }));
  });
});
