import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fromJson } from '@bufbuild/protobuf';
import { WorkflowSpecSchema } from '../../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type Params, TOOLS, type Tool } from '../../../src/orchestrator/runners/runner.ts';
import { af2Params } from '../../../src/orchestrator/runners/sidecar/af2.ts';
import { boltzParams } from '../../../src/orchestrator/runners/sidecar/boltz.ts';
import { formatTimeout } from '../../../src/orchestrator/runners/sidecar/deadline.ts';
import { proteinmpnnParams } from '../../../src/orchestrator/runners/sidecar/proteinmpnn.ts';
import { rfdiffusionParams } from '../../../src/orchestrator/runners/sidecar/rfdiffusion.ts';
import { StepFailure } from '../../../src/orchestrator/runners/step-failure.ts';
import { connectInMemory, requestOf } from '../../support/sidecar-in-memory.ts';
import { plannedStep, sequencesOutput, sidecarJob, structureOutput } from '../../support/sidecar-jobs.ts';

const TABLES = { rfdiffusion: rfdiffusionParams, proteinmpnn: proteinmpnnParams, boltz: boltzParams, af2: af2Params };
const backbone_pdb = { uri: 'r2://bucket/a/b.pdb' };
const NEEDED: Record<Tool, Params> = {
  rfdiffusion: { contigs: '70-90' },
  proteinmpnn: { backbone_pdb },
  boltz: { chains: [{ sequence: 'MK' }] },
  af2: { sequence: 'MK' },
};

function findFault(tool: Tool, params: Params, inputTools: readonly Tool[] = []): string | undefined {
  return connectInMemory(tool, {}, () => {}).findFault(plannedStep(tool, { params, inputTools }));
}

/** The same parameters at submission and at the run. */
async function refusalOf(tool: Tool, params: Params): Promise<string> {
  const planned = findFault(tool, params);
  let fault: StepFailure['fault'] | undefined;
  await requestOf(tool, sidecarJob(tool, { params })).catch((error: unknown) => {
    assert.ok(error instanceof StepFailure);
    fault = error.fault;
  });
  assert.deepEqual(fault, { code: 'INVALID_ARGUMENT', message: planned, retryable: false });
  return planned!;
}

const WRONG: readonly [tool: Tool, given: Params, message: RegExp][] = [
  ['rfdiffusion', { contigs: null }, /^params\.contigs is missing$/],
  ['rfdiffusion', { contigs: ' ' }, /^params\.contigs must be a text that is not empty$/],
  ['rfdiffusion', { contigs: '\ud800' }, /^params\.contigs must be a text/],
  ['rfdiffusion', { num_designs: 0 }, /^params\.num_designs must be a whole number from 1 to 4294967295$/],
  ['rfdiffusion', { num_designs: 2 ** 32 }, /^params\.num_designs must be a whole number/],
  ['rfdiffusion', { num_designs: 1.5 }, /^params\.num_designs must be a whole number/],
  ['rfdiffusion', { num_designs: Number.NaN }, /^params\.num_designs must be a whole number/],
  ['rfdiffusion', { num_designs: '3' }, /^params\.num_designs must be a whole number/],
  [
    'rfdiffusion',
    { numDesigns: 3 },
    /^params\.numDesigns is not known to rfdiffusion \(did you mean num_designs\?\), /,
  ],
  ['rfdiffusion', { num_desings: 3 }, /did you mean num_designs\?/],
  [
    'rfdiffusion',
    { ['x'.repeat(100_000)]: 3 },
    /^params\.x{64}… is not known to rfdiffusion, which has: contigs, input_pdb, /,
  ],
  ['rfdiffusion', { constructor: 3 }, /^params\.constructor is not known/],
  ['rfdiffusion', JSON.parse('{"__proto__":{"contigs":"7"}}'), /^params\.__proto__ is not known/],
  ['rfdiffusion', { symmetry: 'yes' }, /^params\.symmetry must be true or false$/],
  ['rfdiffusion', { extra: { a: 1 } }, /^params\.extra must be an object whose values are texts$/],
  ['rfdiffusion', { extra: [] }, /^params\.extra must be an object/],
  ['rfdiffusion', { input_pdb: 'not base64!' }, /^params\.input_pdb must be base64 of 1 to \d+ bytes$/],
  ['rfdiffusion', { input_pdb: '' }, /^params\.input_pdb must be base64/],
  ['rfdiffusion', { input_pdb: Buffer.alloc(3 * 1024 * 1024 + 1).toString('base64') }, /^params\.input_pdb must be/],
  ['rfdiffusion', { input_pdb_ref: 'r2://b/k' }, /^params\.input_pdb_ref must be an object with uri, /],
  ['rfdiffusion', { input_pdb_ref: {} }, /^params\.input_pdb_ref\.uri is missing$/],
  [
    'rfdiffusion',
    { input_pdb_ref: { uri: 's3://b/k' } },
    /^params\.input_pdb_ref\.uri must be an r2:\/\/<bucket>\/<key> address$/,
  ],
  [
    'rfdiffusion',
    { input_pdb_ref: { uri: 'r2://b/k', sha256: 'ab' } },
    /^params\.input_pdb_ref\.sha256 must be 64 hex/,
  ],
  [
    'rfdiffusion',
    { input_pdb_ref: { uri: 'r2://b/k', url: 1 } },
    /^params\.input_pdb_ref\.url is not known to an artifact/,
  ],
  ['rfdiffusion', { input_pdb: 'QQ==', input_pdb_ref: backbone_pdb }, /are both given, but only one can be$/],
  ['proteinmpnn', { sampling_temp: -0.1 }, /^params\.sampling_temp must be a number from 0 to 10$/],
  ['proteinmpnn', { sampling_temp: Number.POSITIVE_INFINITY }, /^params\.sampling_temp must be a number/],
  ['proteinmpnn', { omit_aas: 'C' }, /^params\.omit_aas must be a list of texts$/],
  ['proteinmpnn', { seed: -1 }, /^params\.seed must be a whole number from 0 to 4294967295$/],
  ['boltz', { chains: {} }, /^params\.chains must be a list, /],
  ['boltz', { chains: ['MK'] }, /^params\.chains\[0\] must be an object with id, sequence, entity_type$/],
  [
    'boltz',
    { chains: [{ id: 'B', entity_type: 'rna' }] },
    /^params\.chains\[0\]\.sequence is missing, and only proteins/,
  ],
  ['boltz', { chains: [{ sequence: 'M1' }] }, /^params\.chains\[0\]\.sequence must be one-letter codes$/],
  [
    'boltz',
    { chains: [{ sequence: 'M', entity_type: 'lipid' }] },
    /^params\.chains\[0\]\.entity_type must be one of: protein, dna, rna$/,
  ],
  [
    'boltz',
    { chains: [{ sequence: 'M', kind: 1 }] },
    /^params\.chains\[0\]\.kind is not known to a chain, which has: id, /,
  ],
  [
    'boltz',
    { chains: [{ sequence: 'M' }, { sequence: 'K' }] },
    /^params\.chains\[1\]\.id is A, which another one has$/,
  ],
  ['boltz', { ligands: [{ id: 'A', ccd: 'ATP' }] }, /^params\.ligands\[0\]\.id is A, which another one has$/],
  ['boltz', { ligands: [{ id: 'L' }] }, /^params\.ligands\[0\] must have one of smiles and ccd$/],
  [
    'boltz',
    { ligands: [{ id: 'L', ccd: 'ATP', smiles: 'O' }] },
    /^params\.ligands\[0\] must have one of smiles and ccd$/,
  ],
  ['boltz', { ligands: [{ ccd: 'ATP' }] }, /^params\.ligands\[0\]\.id is missing$/],
  ['af2', { sequence: 'MK::A' }, /^params\.sequence must be one-letter codes, with ":" between chains$/],
  [
    'af2',
    { msa_cache_policy: 'sometimes' },
    /^params\.msa_cache_policy must be one of: use_cache, force_recompute, cache_only$/,
  ],
];

describe('parameters that a sidecar would not understand', () => {
  for (const [tool, given, message] of WRONG) {
    const shown = JSON.stringify(given).slice(0, 80);
    it(`${tool} ${shown}`, async () => {
      const own = Object.getOwnPropertyDescriptors(given);
      const params = Object.defineProperties({ ...NEEDED[tool] }, own) as Params;
      assert.match(await refusalOf(tool, params), message);
    });
  }

  it('are those of the mock runner', async () => {
    for (const tool of TOOLS) {
      const message = await refusalOf(tool, { ...NEEDED[tool], mock: { seconds: 1 } });
      assert.match(message, /^params\.mock is for the mock runner \(RUNNER=mock\)/);
    }
  });

  it('are not those that are null, or brought by the earlier steps', () => {
    for (const tool of TOOLS) {
      const unset = Object.fromEntries(Object.keys(TABLES[tool]).map((name) => [name, null]));
      assert.equal(findFault(tool, { ...unset, ...NEEDED[tool] }), undefined);
    }
    assert.equal(findFault('proteinmpnn', {}, ['boltz']), undefined);
    assert.equal(findFault('af2', {}, ['rfdiffusion', 'proteinmpnn']), undefined);
    assert.equal(findFault('boltz', { chains: [{}] }, ['proteinmpnn']), undefined);
  });

  it('are missing when no earlier step brings them either', () => {
    const missing: [Tool, Params, Tool[], RegExp][] = [
      ['proteinmpnn', {}, ['proteinmpnn'], /^params\.backbone_pdb is missing, and the step depends on none that makes/],
      ['af2', {}, ['rfdiffusion'], /^params\.sequence is missing, and the step depends on no proteinmpnn step$/],
      ['boltz', { chains: [] }, ['af2'], /^params\.chains is missing, and the step depends on no proteinmpnn step$/],
      ['boltz', { chains: [{ sequence: 'MK' }, { id: 'B' }] }, [], /^params\.chains\[1\]\.sequence is missing, and/],
    ];
    for (const [tool, params, inputTools, message] of missing) {
      assert.match(findFault(tool, params, inputTools) ?? '', message);
    }
  });
});

it('the example of a design can be submitted', async () => {
  const example = new URL('../../../examples/workflows/binder-design.json', import.meta.url);
  const spec = fromJson(WorkflowSpecSchema, JSON.parse(await readFile(example, 'utf8')));
  for (const { tool, params = {}, dependsOn } of spec.steps) {
    const inputTools = dependsOn.map((id) => spec.steps.find((step) => step.id === id)!.tool as Tool);
    assert.equal(findFault(tool as Tool, params, inputTools), undefined);
  }
});

describe('parameters become the request', () => {
  const strip = (message: object) =>
    JSON.parse(
      JSON.stringify(message, (key, value) => {
        if (key === '$typeName' || key === 'resources') return undefined;
        return typeof value === 'bigint' ? Number(value) : value;
      }),
    );

  it('of rfdiffusion', async () => {
    const given = {
      contigs: 'A1-50/10-20',
      input_pdb: Buffer.from('ATOM').toString('base64'),
      num_designs: 4,
      diffusion_steps: 20,
      hotspot_res: 'A30',
      symmetry: true,
      symmetry_type: 'c3',
      extra: { 'denoiser.noise_scale_ca': '0.5' },
    };
    const request = await requestOf('rfdiffusion', sidecarJob('rfdiffusion', { params: given }));
    assert.equal(Buffer.from(request.inputPdb!).toString(), 'ATOM');
    assert.deepEqual(strip({ ...request, inputPdb: undefined }), {
      contigs: 'A1-50/10-20',
      numDesigns: 4,
      diffusionSteps: 20,
      hotspotRes: 'A30',
      symmetry: true,
      symmetryType: 'c3',
      extra: { 'denoiser.noise_scale_ca': '0.5' },
    });
    const plain = await requestOf('rfdiffusion', sidecarJob('rfdiffusion'));
    assert.deepEqual(strip(plain), { contigs: '70-90', numDesigns: 2, diffusionSteps: 50, symmetry: false, extra: {} });
  });

  it('of proteinmpnn, with an artifact as the API tells of it', async () => {
    const sha256 = 'AB'.repeat(32);
    const given = {
      backbone_pdb: {
        uri: 'r2://b/k.pdb',
        sha256,
        content_type: 'chemical/x-pdb',
        size_bytes: '12',
        metrics: { plddt: 8 },
      },
      num_sequences: 3,
      sampling_temp: 0.25,
      fixed_positions: ['A1', 'A2'],
      omit_aas: ['C'],
      use_soluble_model: true,
      seed: 2 ** 32 - 1,
    };
    const request = await requestOf('proteinmpnn', sidecarJob('proteinmpnn', { params: given }));
    assert.deepEqual(strip(request), {
      backbonePdb: {
        uri: 'r2://b/k.pdb',
        contentType: 'chemical/x-pdb',
        sizeBytes: 12,
        sha256: sha256.toLowerCase(),
        metrics: { plddt: 8 },
      },
      numSequences: 3,
      samplingTemp: 0.25,
      fixedPositions: ['A1', 'A2'],
      omitAas: ['C'],
      useSolubleModel: true,
      seed: 2 ** 32 - 1,
    });
  });

  it('of boltz, with the names of an entity type that people write', async () => {
    for (const [name, number] of [
      ['DNA', 2],
      ['dna', 2],
      ['ENTITY_TYPE_RNA', 3],
      ['Entity_Type_Protein', 1],
    ] as const) {
      const chains = [{ id: 'X', sequence: 'ac gu\n', entity_type: name }];
      const ligands = [{ id: 'L', smiles: 'CCO' }];
      const given = { chains, ligands, msa: { uri: 'r2://b/a.a3m' }, recycling_steps: 0, sampling_steps: 5 };
      const request = strip(await requestOf('boltz', sidecarJob('boltz', { params: given })));
      assert.deepEqual(request.chains, [{ id: 'X', sequence: 'ACGU', entityType: number }]);
      assert.deepEqual(request.ligands, [{ id: 'L', smiles: 'CCO', ccd: '' }]);
      assert.equal(request.msa.uri, 'r2://b/a.a3m');
      assert.deepEqual([request.recyclingSteps, request.diffusionSamples, request.samplingSteps], [0, 1, 5]);
    }
  });

  it('of af2', async () => {
    const given = {
      sequence: 'mk:ay',
      msa_cache_policy: 'MSA_CACHE_POLICY_CACHE_ONLY',
      msa_cache_key: 'k',
      num_models: 5,
    };
    const request = strip(await requestOf('af2', sidecarJob('af2', { params: { ...given, relax: true } })));
    assert.deepEqual(request, {
      sequence: 'MK:AY',
      msaCachePolicy: 3,
      msaCacheKey: 'k',
      numModels: 5,
      numRecycles: 3,
      useTemplates: false,
      relax: true,
    });
  });
});

describe('what the earlier steps made becomes part of the request', () => {
  const inputs = {
    low: structureOutput('low', { plddt: 60 }),
    high: structureOutput('high', { plddt: 90 }),
    worse: sequencesOutput(['AAAA', 1.2]),
    better: sequencesOutput(['CCCC', 1.1], ['DDDD', 0.9], ['EEEE', 0.9]),
  };

  it('the best structure and the best sequence over all of them', async () => {
    const { backbonePdb } = await requestOf('proteinmpnn', sidecarJob('proteinmpnn', { inputs }));
    assert.equal(backbonePdb?.uri, 'r2://bucket/artifacts/high.pdb');
    const { inputPdbRef } = await requestOf('rfdiffusion', sidecarJob('rfdiffusion', { inputs }));
    assert.equal(inputPdbRef?.uri, 'r2://bucket/artifacts/high.pdb');
    assert.equal((await requestOf('af2', sidecarJob('af2', { inputs }))).sequence, 'DDDD');
    const { chains } = await requestOf('boltz', sidecarJob('boltz', { inputs }));
    assert.deepEqual(
      chains.map(({ id, sequence, entityType }) => [id, sequence, entityType]),
      [['A', 'DDDD', 1]],
    );
  });

  it('structures of all three makers, compared on one scale', async () => {
    const cif = structureOutput('cif', { confidence_score: 0.95 }, 'chemical/x-mmcif');
    const others = { a: structureOutput('a', { mean_plddt: 94 }), b: inputs.high, cif };
    const { backbonePdb } = await requestOf('proteinmpnn', sidecarJob('proteinmpnn', { inputs: others }));
    assert.equal(backbonePdb?.uri, cif.artifacts[0]!.uri);
  });

  it('unless the step says otherwise', async () => {
    const params = { backbone_pdb };
    const { backbonePdb } = await requestOf('proteinmpnn', sidecarJob('proteinmpnn', { params, inputs }));
    assert.equal(backbonePdb?.uri, backbone_pdb.uri);
    const af2 = await requestOf('af2', sidecarJob('af2', { params: { sequence: 'MK' }, inputs }));
    assert.equal(af2.sequence, 'MK');
    const inline = { contigs: '7', input_pdb: 'QQ==' };
    const rfdiffusion = await requestOf('rfdiffusion', sidecarJob('rfdiffusion', { params: inline, inputs }));
    assert.equal(rfdiffusion.inputPdbRef, undefined);
  });

  it('several chains, which ProteinMPNN writes with "/" between them', async () => {
    const multimer = { a: sequencesOutput(['AAA/CC\nC/DDD', 1]) };
    assert.equal((await requestOf('af2', sidecarJob('af2', { inputs: multimer }))).sequence, 'AAA:CCC:DDD');
    const ligands = [{ id: 'B', ccd: 'ATP' }];
    const { chains } = await requestOf('boltz', sidecarJob('boltz', { params: { ligands }, inputs: multimer }));
    assert.deepEqual(
      chains.map(({ id, sequence }) => [id, sequence]),
      [
        ['A', 'AAA'],
        ['C', 'CCC'],
        ['D', 'DDD'],
      ],
    );
  });

  it('the sequences of the chains that have none', async () => {
    const sequencesFor = async (ids: string, designed: string) => {
      const chains = [{ id: 'T', sequence: 'MK' }, ...[...ids].map((id) => ({ id }))];
      const job = sidecarJob('boltz', { params: { chains }, inputs: { a: sequencesOutput([designed, 1]) } });
      return (await requestOf('boltz', job)).chains.map(({ sequence }) => sequence);
    };
    assert.deepEqual(await sequencesFor('B', 'AAA'), ['MK', 'AAA']);
    assert.deepEqual(await sequencesFor('BC', 'AAA'), ['MK', 'AAA', 'AAA']);
    assert.deepEqual(await sequencesFor('BC', 'AAA/CCC'), ['MK', 'AAA', 'CCC']);
    await assert.rejects(sequencesFor('B', 'AAA/CCC'), /has 2 chains, but params\.chains has 1 without a sequence/);
    await assert.rejects(sequencesFor('B', 'A*A'), /something else than one-letter codes/);
  });
});

it('a deadline has at most 8 digits', () => {
  assert.equal(formatTimeout(1), '1S');
  assert.equal(formatTimeout(99_999_999), '99999999S');
  assert.equal(formatTimeout(100_000_000), '1666667M');
  assert.equal(formatTimeout(2 ** 32 - 1), '71582789M');
});
