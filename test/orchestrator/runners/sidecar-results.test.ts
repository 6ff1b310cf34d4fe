import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { designsOf } from '../../../src/orchestrator/engine/designs.ts';
import { rankDesigns } from '../../../src/orchestrator/engine/ranking.ts';
import { chainsOfFasta } from '../../../src/orchestrator/runners/sidecar/fasta.ts';
import { finiteMetrics, fromFloat } from '../../../src/orchestrator/runners/sidecar/metrics.ts';
import { madeOf } from '../../support/sidecar-in-memory.ts';
import { sidecarJob, structureOutput } from '../../support/sidecar-jobs.ts';

const sha256 = 'AB'.repeat(32);
const file = (name: string) => ({ uri: `r2://bucket/artifacts/${name}` });
const folding = sidecarJob('af2', { params: { sequence: 'MK' } });
const docking = sidecarJob('boltz', { params: { chains: [{ sequence: 'MK' }] } });
const designing = sidecarJob('proteinmpnn', { inputs: { a: structureOutput('a') } });

describe('what a sidecar made', () => {
  it('of rfdiffusion is backbones, with the measurements of the sidecar', async () => {
    const backbonePdb = {
      ...file('a.pdb'),
      sizeBytes: 12n,
      sha256,
      metrics: { length: 80, odd: Number.NaN, far: Number.POSITIVE_INFINITY, plddt: 3 },
    };
    const designs = [{ backbonePdb, plddt: 0.9, designIndex: 4 }];
    assert.deepEqual(await madeOf('rfdiffusion', { designs }, sidecarJob('rfdiffusion')), {
      artifacts: [
        {
          uri: 'r2://bucket/artifacts/a.pdb',
          contentType: 'chemical/x-pdb',
          sizeBytes: 12,
          sha256: sha256.toLowerCase(),
          metrics: { length: 80, plddt: 0.9, design_index: 4 },
        },
      ],
      sequences: [],
      files: [],
    });
  });

  it('of proteinmpnn is sequences, and one file of them all that carries the best scores', async () => {
    const sequences = [
      { fasta: '>mine\nMK/AY', globalScore: 1.1, seqRecovery: 0.4, sampleIndex: 1 },
      { fasta: 'MKA\0AY\n', globalScore: 0.7, seqRecovery: Number.NaN, sampleIndex: 2 },
    ];
    const { artifacts, sequences: made, files } = await madeOf('proteinmpnn', { sequences }, designing);
    const bare = '>sample=2, score=0.7, seq_recovery=0\nMKA\uFFFDAY\n';
    assert.deepEqual(artifacts, []);
    assert.deepEqual(made, [
      { fasta: '>mine\nMK/AY\n', globalScore: 1.1, seqRecovery: 0.4, sampleIndex: 1 },
      { fasta: bare, globalScore: 0.7, seqRecovery: 0, sampleIndex: 2 },
    ]);
    assert.deepEqual(files, [
      {
        text: `>mine\nMK/AY\n${bare}`,
        contentType: 'text/x-fasta',
        extension: 'fasta',
        metrics: { global_score: 0.7, seq_recovery: 0, length: 6 },
      },
    ]);
  });

  it('of boltz is structures with what they are ranked by, and error matrices without', async () => {
    const predictions = [
      { structureCif: file('0.cif'), pae: file('0.json'), confidenceScore: 0.81, ptm: 0.7, iptm: 0.6, sampleIndex: 0 },
      { structureCif: { ...file('1.cif'), contentType: 'text/plain' }, confidenceScore: Number.NaN, sampleIndex: 1 },
    ];
    const { artifacts } = await madeOf('boltz', { predictions }, docking);
    assert.deepEqual(
      artifacts.map(({ contentType, metrics }) => [contentType, metrics]),
      [
        ['chemical/x-mmcif', { confidence_score: 0.81, ptm: 0.7, iptm: 0.6, sample_index: 0 }],
        ['application/json', { sample_index: 0 }],
        ['text/plain', { ptm: 0, iptm: 0, sample_index: 1 }],
      ],
    );
  });

  it('of af2 is models, error matrices and the alignment', async () => {
    const prediction = { modelId: 2, structurePdb: file('a.pdb'), pae: file('a.json'), meanPlddt: 91.3, ptm: 0.8 };
    const result = { predictions: [prediction], msaA3m: file('a.a3m'), msaCacheHit: true };
    const { artifacts } = await madeOf('af2', result, folding);
    assert.deepEqual(
      artifacts.map(({ contentType, metrics }) => [contentType, metrics]),
      [
        ['chemical/x-pdb', { plddt: 91.3, mean_plddt: 91.3, ptm: 0.8, iptm: 0, model_id: 2 }],
        ['application/json', { model_id: 2 }],
        ['text/x-a3m', { msa_cache_hit: 1 }],
      ],
    );
  });

  it('can be kept as JSON and ranked', async () => {
    const predictions = [0.5, 0.9, 0.7].map((confidenceScore, sampleIndex) => {
      return {
        structureCif: file(`${sampleIndex}.cif`),
        pae: file(`${sampleIndex}.json`),
        confidenceScore,
        sampleIndex,
      };
    });
    const { artifacts, sequences } = await madeOf('boltz', { predictions }, docking);
    const output = JSON.parse(JSON.stringify({ artifacts, sequences }));
    assert.deepEqual(output, { artifacts, sequences });
    const step = { stepId: 'dock', state: 'SUCCEEDED', output } as unknown as Parameters<typeof designsOf>[0][number];
    const ranked = rankDesigns(designsOf([step]), { metric: 'confidence_score', filters: [], topK: 0 });
    assert.deepEqual(
      ranked.designs.map(({ id, score }) => [id, score]),
      [
        ['r2://bucket/artifacts/1.cif', 0.9],
        ['r2://bucket/artifacts/2.cif', 0.7],
        ['r2://bucket/artifacts/0.cif', 0.5],
      ],
    );
  });

  it('breaks the contract when it is nothing, or has no place', async () => {
    const protocol = (message: RegExp) => (error: unknown) => {
      const { fault } = error as { fault: { code: string; message: string; retryable: boolean } };
      assert.deepEqual([fault.code, fault.retryable], ['SIDECAR_PROTOCOL', false]);
      assert.match(fault.message, message);
      return true;
    };
    await assert.rejects(madeOf('proteinmpnn', {}, designing), protocol(/made no sequences/));
    await assert.rejects(madeOf('boltz', {}, docking), protocol(/made no predictions/));
    await assert.rejects(madeOf('af2', {}, folding), protocol(/made no predictions/));
    const unnamed = { structurePdb: file('a.pdb'), pae: {} };
    await assert.rejects(madeOf('af2', { predictions: [unnamed] }, folding), protocol(/error matrix of model 0/));
    const blank = [{ fasta: '>only a title\n', sampleIndex: 7 }];
    await assert.rejects(
      madeOf('proteinmpnn', { sequences: blank }, designing),
      protocol(/sequence 7 has no residues/),
    );
    const unscored = [{ fasta: 'MK', globalScore: Number.NaN }];
    await assert.rejects(
      madeOf('proteinmpnn', { sequences: unscored }, designing),
      protocol(/global_score of sequence 0/),
    );
  });
});

describe('fromFloat', () => {
  it('gives the shortest number that is the same float', () => {
    for (const value of [0, 0.1, 0.9, -1.2345, 91.37, 1e-20, 3.4e38, 16_777_216, 1 / 3]) {
      const float = Math.fround(value);
      assert.equal(Math.fround(fromFloat(float)), float);
    }
    assert.equal(fromFloat(Math.fround(0.9)), 0.9);
    assert.equal(fromFloat(Math.fround(91.37)), 91.37);
    assert.ok(Number.isNaN(fromFloat(Number.NaN)));
    assert.equal(fromFloat(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  });
});

describe('finiteMetrics', () => {
  it('keeps what JSON can hold', () => {
    const metrics = JSON.parse('{"__proto__":1,"a":2}');
    assert.deepEqual(finiteMetrics({ ...metrics, b: Number.NaN, 'c\0': 3 }), { a: 2, 'c\uFFFD': 3 });
  });
});

describe('chainsOfFasta', () => {
  it('reads the first record, with or without a title', () => {
    assert.deepEqual(chainsOfFasta('>a title\nmk\r\nAY\n>another\nGGG\n'), ['MKAY']);
    assert.deepEqual(chainsOfFasta('\n  >t\nMK/AY:\n'), ['MK', 'AY']);
    assert.deepEqual(chainsOfFasta('MK\nAY'), ['MKAY']);
    assert.deepEqual(chainsOfFasta('>a'), []);
    assert.deepEqual(chainsOfFasta(''), []);
  });
});
