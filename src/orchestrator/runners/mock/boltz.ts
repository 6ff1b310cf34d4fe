import type { Params, StepOutput } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import type { MadeFile } from '../upload.ts';
import { MAX_RESIDUES } from './contigs.ts';
import { writeMmcif } from './mmcif.ts';
import { readObjects, readWhole } from './params.ts';
import { paeFile, predict } from './prediction.ts';
import { createRandom } from './random.ts';
import { round } from './round.ts';
import { bestSequence, DEFAULT_SEQUENCE, readSequence } from './sequences.ts';
import { checkpoints, countOf, type Simulate } from './simulation.ts';

interface Chain {
  readonly id: string;
  readonly sequence: string;
}

const CHAIN_ID = /^[A-Za-z0-9]{1,4}$/;

/** A complex of proteins, one mmCIF file and one error matrix a sample. */
export const simulateBoltz: Simulate = (params, inputs, seed) => {
  const samples = readWhole(params, 'diffusion_samples', { default: 1, min: 1, max: 8 });
  const recycles = readWhole(params, 'recycling_steps', { default: 3, min: 0, max: 20 });
  const samplingSteps = readWhole(params, 'sampling_steps', { default: 200, min: 1, max: 1000 });
  const chains = readChains(params, inputs);
  const residues = chains.reduce((sum, { sequence }) => sum + sequence.length, 0);

  const makeSample = (index: number): MadeFile[] => {
    const prediction = predict(chains, createRandom(`${seed} sample ${index}`));
    const { plddt, iptm } = prediction.metrics;
    const structure: MadeFile = {
      text: writeMmcif(prediction.structure, `boltz_model_${index}`),
      contentType: 'chemical/x-mmcif',
      extension: 'cif',
      metrics: { confidence_score: round(0.8 * (plddt / 100) + 0.2 * iptm, 4), ...prediction.metrics },
    };
    return [structure, paeFile(prediction)];
  };

  return {
    messages: [
      `processing ${countOf(chains.length, 'chain')} with ${countOf(residues, 'residue')}`,
      ...checkpoints(recycles, 2).map((done) => `recycling ${done}/${recycles}`),
      ...checkpoints(samplingSteps, 4).map(
        (done) => `diffusion step ${done}/${samplingSteps} of ${countOf(samples, 'sample')}`,
      ),
      `writing ${countOf(samples, 'prediction')}`,
    ],
    sequences: [],
    results: Array.from({ length: samples }, (_, index) => () => makeSample(index)),
  };
};

/** The chains of the parameters, where one without a sequence is the best designed one; else that one alone. */
function readChains(params: Params, inputs: readonly StepOutput[]): Chain[] {
  const given = readObjects(params, 'chains') ?? [];
  if (given.length === 0) return [{ id: 'A', sequence: bestSequence(inputs) ?? DEFAULT_SEQUENCE }];
  const chains = given.map((chain, index) => readChain(chain, `params.chains[${index}]`, inputs));
  const ids = new Set(chains.map(({ id }) => id));
  if (ids.size < chains.length) throw refuse('INVALID_ARGUMENT', 'params.chains has two chains with the same id');
  const residues = chains.reduce((sum, { sequence }) => sum + sequence.length, 0);
  if (residues > MAX_RESIDUES) {
    throw refuse('INVALID_SEQUENCE', `params.chains has ${residues} residues, but at most ${MAX_RESIDUES} may be`);
  }
  return chains;
}

function readChain(chain: Params, name: string, inputs: readonly StepOutput[]): Chain {
  const id = chain.id ?? 'A';
  const type = chain.entity_type ?? 'protein';
  const given = chain.sequence ?? undefined;
  if (typeof id !== 'string' || !CHAIN_ID.test(id)) {
    throw refuse('INVALID_ARGUMENT', `${name}.id must be 1 to 4 letters or digits`);
  }
  if (typeof type !== 'string' || !/^(ENTITY_TYPE_)?PROTEIN$/i.test(type)) {
    throw refuse('INVALID_ARGUMENT', `${name}.entity_type must be "protein": the mock folds nothing else`);
  }
  if (given !== undefined && typeof given !== 'string') {
    throw refuse('INVALID_ARGUMENT', `${name}.sequence must be a text`);
  }
  const sequence = given === undefined ? bestSequence(inputs) : readSequence(given, `${name}.sequence`);
  if (sequence) return { id, sequence };
  throw refuse('INVALID_ARGUMENT', `${name}.sequence is missing, and no step that this one depends on designed one`);
}
