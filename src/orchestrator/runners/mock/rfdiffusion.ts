import type { MadeFile } from '../upload.ts';
import { drawLengths, readContigs } from './contigs.ts';
import { readText, readWhole } from './params.ts';
import { writePdb } from './pdb.ts';
import { createRandom } from './random.ts';
import { round } from './round.ts';
import { checkpoints, countOf, type Simulate } from './simulation.ts';
import { foldChains, meanPlddt } from './structure.ts';

const CHAIN_IDS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Backbones of glycine, one PDB file a design. */
export const simulateRfdiffusion: Simulate = (params, _inputs, seed) => {
  const contigsText = readText(params, 'contigs') ?? '100-120';
  const contigs = readContigs(contigsText);
  const designs = readWhole(params, 'num_designs', { default: 2, min: 1, max: 16 });
  const diffusionSteps = readWhole(params, 'diffusion_steps', { default: 50, min: 1, max: 200 });
  const sampled = checkpoints(designs * diffusionSteps, 6).map((done) => {
    const design = Math.ceil(done / diffusionSteps);
    return `design ${design}/${designs}: diffusion step ${done - (design - 1) * diffusionSteps}/${diffusionSteps}`;
  });

  const makeDesign = (index: number): MadeFile[] => {
    const random = createRandom(`${seed} design ${index}`);
    const chains = drawLengths(contigs, random).map((length, i) => ({
      id: CHAIN_IDS[i]!,
      sequence: 'G'.repeat(length),
    }));
    const structure = foldChains(chains, { min: 70, max: 95 }, random);
    const plddt = round(meanPlddt(structure), 2);
    const remarks = ['RFDIFFUSION BACKBONE, MADE WITHOUT A MODEL', `MEAN PLDDT ${plddt.toFixed(2)}`];
    return [
      {
        text: writePdb(structure, `DESIGNED BACKBONE ${index + 1}`, remarks),
        contentType: 'chemical/x-pdb',
        extension: 'pdb',
        metrics: { plddt, length: structure.reduce((sum, { residues }) => sum + residues.length, 0) },
      },
    ];
  };

  return {
    messages: [
      `sampling ${countOf(designs, 'design')} from contigs ${contigsText.trim()}`,
      ...sampled,
      `writing ${countOf(designs, 'backbone')}`,
    ],
    sequences: [],
    results: Array.from({ length: designs }, (_, index) => () => makeDesign(index)),
  };
};
