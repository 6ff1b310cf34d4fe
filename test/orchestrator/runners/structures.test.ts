import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ArtifactRecord, StepOutput } from '../../../src/orchestrator/runners/runner.ts';
import { createBench } from './memory-runner.ts';
import { distance, type ReadAtom, readCif, readPdb } from './read-structure.ts';

const CODES: Record<string, string> = Object.fromEntries(
  'A ALA R ARG N ASN D ASP C CYS Q GLN E GLU G GLY H HIS I ILE L LEU K LYS M MET F PHE P PRO S SER T THR W TRP Y TYR V VAL'
    .match(/\w \w{3}/g)!
    .map((pair) => pair.split(' ') as [string, string]),
);
const EVERY_AMINO_ACID = Object.keys(CODES).join('');
const bench = createBench();

/** Serials, residue numbers, atoms and bonds of every chain, with the residues that it must have. */
function checkChains(atoms: readonly ReadAtom[], expected: Record<string, string>): void {
  assert.deepEqual([...new Set(atoms.map(({ chain }) => chain))], Object.keys(expected));
  for (const [i, atom] of atoms.entries()) {
    assert.ok(atom.serial > (atoms[i - 1]?.serial ?? 0), 'serials rise');
    assert.ok(atom.position.every((value) => Number.isFinite(value) && Math.abs(value) < 1000));
    assert.equal(atom.occupancy, 1);
    assert.ok(atom.bFactor >= 0 && atom.bFactor <= 100);
    assert.equal(atom.element, atom.name[0]);
  }
  for (const [chain, sequence] of Object.entries(expected)) {
    const residues = Map.groupBy(
      atoms.filter((atom) => atom.chain === chain),
      ({ number }) => number,
    );
    assert.deepEqual(
      [...residues.keys()],
      Array.from(sequence, (_, i) => i + 1),
    );
    let previous: Record<string, ReadAtom> | undefined;
    for (const [number, list] of residues) {
      const letter = sequence[number - 1]!;
      assert.deepEqual(
        list.map(({ name }) => name),
        ['N', 'CA', 'C', 'O', ...(letter === 'G' ? [] : ['CB'])],
      );
      for (const { residue } of list) assert.equal(residue, CODES[letter]);
      const atom = Object.fromEntries(list.map((one) => [one.name, one]));
      near(atom.N!, atom.CA!, 1.4, 1.52);
      near(atom.CA!, atom.C!, 1.47, 1.58);
      near(atom.C!, atom.O!, 1.18, 1.28);
      near(atom.N!, atom.C!, 2.3, 2.6);
      if (previous) {
        near(previous.C!, atom.N!, 1.28, 1.38);
        near(previous.CA!, atom.CA!, 3.6, 4);
        near(previous.O!, atom.N!, 2.1, 2.4);
      }
      if (atom.CB) checkHand(atom.N!, atom.CA!, atom.C!, atom.CB);
      previous = atom;
    }
  }
}

function near(a: ReadAtom, b: ReadAtom, min: number, max: number): void {
  const d = distance(a.position, b.position);
  assert.ok(d >= min && d <= max, `${a.name}${a.number} to ${b.name}${b.number} is ${d.toFixed(3)} Å`);
}

/** Natural amino acids are left-handed: the triple product of the bonds to N, C and CB is positive. */
function checkHand(n: ReadAtom, ca: ReadAtom, c: ReadAtom, cb: ReadAtom): void {
  const [u, v, w] = [n, c, cb].map(({ position }) => position.map((value, i) => value - ca.position[i]!)) as number[][];
  const cross = [
    u![1]! * v![2]! - u![2]! * v![1]!,
    u![2]! * v![0]! - u![0]! * v![2]!,
    u![0]! * v![1]! - u![1]! * v![0]!,
  ];
  assert.ok(cross[0]! * w![0]! + cross[1]! * w![1]! + cross[2]! * w![2]! > 1, `residue ${ca.number} is right-handed`);
  near(ca, cb, 1.48, 1.58);
}

function meanBFactor(atoms: readonly ReadAtom[]): number {
  const ca = atoms.filter(({ name }) => name === 'CA');
  return ca.reduce((sum, { bFactor }) => sum + bFactor, 0) / ca.length;
}

function fileOf(artifact: ArtifactRecord): string {
  const text = bench.files.get(artifact.uri)!;
  assert.equal(artifact.sizeBytes, Buffer.byteLength(text));
  return text;
}

function ofType({ artifacts }: StepOutput, contentType: string): ArtifactRecord[] {
  return artifacts.filter((artifact) => artifact.contentType === contentType);
}

function checkPae(artifact: ArtifactRecord, structure: ArtifactRecord, residues: number): void {
  const { pae, max_pae: max } = JSON.parse(fileOf(artifact)) as { pae: number[][]; max_pae: number };
  assert.equal(max, 31.75);
  assert.equal(pae.length, residues);
  let sum = 0;
  for (const [i, row] of pae.entries()) {
    assert.equal(row.length, residues);
    for (const error of row) assert.ok(error >= 0.2 && error <= 31.75, `${error} Å`);
    assert.ok(row[i]! < 0.5, 'a residue is where it is');
    sum += row.reduce((total, error) => total + error, 0);
  }
  const mean = sum / residues ** 2;
  assert.ok(Math.abs(structure.metrics.pae! - mean) < 0.01);
  assert.ok(Math.abs(artifact.metrics.mean_pae! - mean) < 0.01);
  for (const name of ['ptm', 'iptm']) {
    const value = structure.metrics[name] ?? 0;
    assert.ok(value >= 0 && value <= 1, `${name} is ${value}`);
  }
}

describe('the files of the mock runner', () => {
  it('are PDB backbones of glycine from rfdiffusion', async () => {
    const output = await bench.make('rfdiffusion', { contigs: '100-120', num_designs: 4 });
    assert.equal(output.artifacts.length, 4);
    assert.equal(new Set(output.artifacts.map(({ sha256 }) => sha256)).size, 4);
    for (const artifact of output.artifacts) {
      assert.equal(artifact.contentType, 'chemical/x-pdb');
      assert.match(artifact.uri, /\.pdb$/);
      const { plddt, length } = artifact.metrics;
      assert.ok(plddt! >= 70 && plddt! <= 95);
      assert.ok(length! >= 100 && length! <= 120);
      const { atoms, sequences, lines } = readPdb(fileOf(artifact));
      checkChains(atoms, { A: 'G'.repeat(length!) });
      assert.equal(atoms.length, length! * 4);
      assert.deepEqual(sequences.get('A'), Array(length).fill('GLY'));
      assert.match(lines[0]!, /^HEADER {4}/);
      assert.match(lines.at(-2)!, new RegExp(`^TER   ${`${atoms.length + 1}`.padStart(5)}      GLY A ${length} +$`));
      assert.match(lines.at(-1)!, /^END +$/);
      assert.ok(Math.abs(meanBFactor(atoms) - plddt!) < 0.01);
    }
  });

  const contigs: [text: string, chains: number[]][] = [
    ['30', [30]],
    ['[12-12]', [12]],
    ['A1-50/0 30', [50, 30]],
    ['A1-50/0 30/A5-9/0', [50, 35]],
    ['5/A10-19/5 4', [20, 4]],
    ['1', [1]],
    ['400', [400]],
  ];
  for (const [text, lengths] of contigs) {
    it(`have ${lengths.join(' and ')} residues for contigs ${text}`, async () => {
      const [artifact] = (await bench.make('rfdiffusion', { contigs: text, num_designs: 1 })).artifacts;
      const expected = Object.fromEntries(lengths.map((length, i) => ['ABC'[i]!, 'G'.repeat(length)]));
      const { atoms, lines } = readPdb(fileOf(artifact!));
      checkChains(atoms, expected);
      assert.equal(lines.filter((line) => line.startsWith('TER')).length, lengths.length);
    });
  }

  it('are compact: a long chain folds back on itself and keeps clear of itself', async () => {
    const output = await bench.make('rfdiffusion', { contigs: '200', num_designs: 8 });
    for (const artifact of output.artifacts) {
      const ca = readPdb(fileOf(artifact)).atoms.filter(({ name }) => name === 'CA');
      const span = Math.max(...ca.map(({ position }) => distance(position, ca[0]!.position)));
      assert.ok(span < 150, `${span} Å across`);
      const clashes = ca.flatMap((a, i) => ca.slice(i + 3).filter((b) => distance(a.position, b.position) < 3.5));
      assert.ok(clashes.length <= 4, `${clashes.length} clashes`);
    }
  });

  it('are mmCIF complexes and error matrices from boltz', async () => {
    const chains = [
      { id: 'A', sequence: EVERY_AMINO_ACID, entity_type: 'protein' },
      { id: 'B2', sequence: 'gg gg\nGG', entity_type: 'ENTITY_TYPE_PROTEIN' },
      { id: 'C', sequence: EVERY_AMINO_ACID },
    ];
    const output = await bench.make('boltz', { chains, diffusion_samples: 2 });
    const structures = ofType(output, 'chemical/x-mmcif');
    const matrices = ofType(output, 'application/json');
    assert.equal(structures.length, 2);
    assert.equal(matrices.length, 2);
    for (const [i, artifact] of structures.entries()) {
      const { name, categories } = readCif(fileOf(artifact));
      assert.equal(categories.get('entry')![0]!.id, name);
      assert.deepEqual(
        categories.get('entity_poly')!.map((row) => [row.entity_id, row.pdbx_seq_one_letter_code, row.pdbx_strand_id]),
        [
          ['1', EVERY_AMINO_ACID, 'A,C'],
          ['2', 'GGGGGG', 'B2'],
        ],
      );
      assert.equal(categories.get('entity_poly_seq')!.length, 26);
      assert.deepEqual(
        categories.get('struct_asym')!.map((row) => [row.id, row.entity_id]),
        [
          ['A', '1'],
          ['B2', '2'],
          ['C', '1'],
        ],
      );
      const rows = categories.get('atom_site')!;
      for (const row of rows) {
        assert.equal(row.group_PDB, 'ATOM');
        assert.equal(row.auth_asym_id, row.label_asym_id);
        assert.equal(row.auth_seq_id, row.label_seq_id);
        assert.equal(row.label_entity_id, row.label_asym_id === 'B2' ? '2' : '1');
        assert.equal(row.pdbx_PDB_model_num, '1');
      }
      const atoms = rows.map(cifAtom);
      checkChains(atoms, { A: EVERY_AMINO_ACID, B2: 'GGGGGG', C: EVERY_AMINO_ACID });
      const { plddt, confidence_score: confidence, iptm, length } = artifact.metrics;
      assert.ok(Math.abs(meanBFactor(atoms) - plddt!) < 0.01);
      assert.ok(Math.abs(confidence! - (0.8 * plddt!) / 100 - 0.2 * iptm!) < 0.001);
      assert.equal(length, 46);
      checkPae(matrices[i]!, artifact, 46);
    }
  });

  it('are PDB models and error matrices from af2', async () => {
    const output = await bench.make('af2', { sequence: EVERY_AMINO_ACID.repeat(4), num_models: 3 });
    const structures = ofType(output, 'chemical/x-pdb');
    const matrices = ofType(output, 'application/json');
    assert.equal(structures.length, 3);
    for (const [i, artifact] of structures.entries()) {
      const { atoms } = readPdb(fileOf(artifact));
      checkChains(atoms, { A: EVERY_AMINO_ACID.repeat(4) });
      assert.ok(new Set(atoms.map(({ bFactor }) => bFactor)).size > 20, 'pLDDT is given residue by residue');
      assert.ok(Math.abs(meanBFactor(atoms) - artifact.metrics.plddt!) < 0.01);
      assert.equal(artifact.metrics.mean_plddt, artifact.metrics.plddt);
      checkPae(matrices[i]!, artifact, 80);
    }
  });

  it('are a FASTA file of what proteinmpnn designed', async () => {
    const backbones = await bench.make('rfdiffusion', { contigs: '50-300', num_designs: 3 });
    const best = backbones.artifacts.reduce((a, b) => (b.metrics.plddt! > a.metrics.plddt! ? b : a));
    const { sequences, artifacts } = await bench.make('proteinmpnn', { num_sequences: 12 }, { backbones });
    assert.equal(sequences.length, 12);
    assert.equal(artifacts.length, 1);
    const [file] = artifacts;
    assert.equal(fileOf(file!), sequences.map(({ fasta }) => fasta).join(''));
    for (const [i, { fasta, globalScore, seqRecovery, sampleIndex }] of sequences.entries()) {
      assert.equal(sampleIndex, i + 1);
      const [title, sequence, end] = fasta.split('\n');
      assert.equal(title, `>sample=${i + 1}, score=${globalScore.toFixed(4)}, seq_recovery=${seqRecovery.toFixed(4)}`);
      assert.match(sequence!, /^[ACDEFGHIKLMNPQRSTVWY]+$/);
      assert.equal(sequence!.length, best.metrics.length);
      assert.equal(end, '');
      assert.ok(globalScore >= 0.7 && globalScore <= 1.6);
      assert.ok(seqRecovery >= 0.3 && seqRecovery <= 0.6);
    }
    const lowest = Math.min(...sequences.map(({ globalScore }) => globalScore));
    assert.equal(file!.metrics.global_score, lowest);
    assert.equal(file!.metrics.seq_recovery, sequences.find(({ globalScore }) => globalScore === lowest)!.seqRecovery);
  });
});

function cifAtom(row: Record<string, string>): ReadAtom {
  return {
    serial: Number(row.id),
    name: row.label_atom_id!,
    residue: row.label_comp_id!,
    chain: row.label_asym_id!,
    number: Number(row.label_seq_id),
    position: [Number(row.Cartn_x), Number(row.Cartn_y), Number(row.Cartn_z)],
    occupancy: Number(row.occupancy),
    bFactor: Number(row.B_iso_or_equiv),
    element: row.type_symbol!,
  };
}
