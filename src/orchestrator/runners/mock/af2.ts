import { bestStructure } from '../best-inputs.ts';
import type { MadeFile } from '../upload.ts';
import { readText, readWhole } from './params.ts';
import { writePdb } from './pdb.ts';
import { paeFile, predict } from './prediction.ts';
import { createRandom } from './random.ts';
import { round } from './round.ts';
import { bestSequence, DEFAULT_SEQUENCE, readSequence } from './sequences.ts';
import { checkpoints, countOf, type Simulate } from './simulation.ts';

/** One chain, one PDB file and one error matrix a model. */
export const simulateAf2: Simulate = (params, inputs, seed) => {
  const models = readWhole(params, 'num_models', { default: 1, min: 1, max: 5 });
  const recycles = readWhole(params, 'num_recycles', { default: 3, min: 0, max: 20 });
  const given = readText(params, 'sequence');
  const sequence =
    given === undefined ? (bestSequence(inputs) ?? DEFAULT_SEQUENCE) : readSequence(given, 'params.sequence');
  const aimed = bestStructure(inputs) !== undefined;
  const passes = models * (recycles + 1);

  const makeModel = (index: number): MadeFile[] => {
    const random = createRandom(`${seed} model ${index}`);
    const prediction = predict([{ id: 'A', sequence }], random);
    const { iptm: _, ...metrics } = prediction.metrics;
    const remarks = ['ALPHAFOLD 2 PREDICTION, MADE WITHOUT A MODEL', `MEAN PLDDT ${metrics.plddt.toFixed(2)}`];
    const structure: MadeFile = {
      text: writePdb(prediction.structure, `PREDICTED MODEL ${index + 1}`, remarks),
      contentType: 'chemical/x-pdb',
      extension: 'pdb',
      metrics: {
        ...metrics,
        mean_plddt: metrics.plddt,
        // How well the fold meets the backbone that it was designed for, when there is one.
        ...(aimed ? { rmsd: round(0.4 + (100 - metrics.plddt) * random.between(0.05, 0.12), 3) } : {}),
      },
    };
    return [structure, paeFile(prediction)];
  };

  return {
    messages: [
      `searching sequences like the query of ${countOf(sequence.length, 'residue')}`,
      ...checkpoints(passes, 6).map((done) => {
        const model = Math.ceil(done / (recycles + 1));
        return `model_${model} recycle ${done - (model - 1) * (recycles + 1) - 1}/${recycles}`;
      }),
      `writing ${countOf(models, 'model')}`,
    ],
    sequences: [],
    results: Array.from({ length: models }, (_, index) => () => makeModel(index)),
  };
};
