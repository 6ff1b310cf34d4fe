import { bestStructure } from '../best-inputs.ts';
import type { SequenceRecord } from '../runner.ts';
import type { MadeFile } from '../upload.ts';
import { MAX_RESIDUES } from './contigs.ts';
import { readNumber, readWhole } from './params.ts';
import { createRandom } from './random.ts';
import { round } from './round.ts';
import { drawSequence } from './sequences.ts';
import { checkpoints, countOf, type Simulate } from './simulation.ts';

const DEFAULT_LENGTH = 100;

/** Sequences for the best backbone among the inputs, and all of them in one FASTA file. */
export const simulateProteinmpnn: Simulate = (params, inputs, seed) => {
  const count = readWhole(params, 'num_sequences', { default: 4, min: 1, max: 64 });
  const temperature = readNumber(params, 'sampling_temp', { min: 0, max: 2 }) ?? 0.1;
  const backbone = bestStructure(inputs);
  // A structure of another maker may not say its length.
  const length = Math.min(MAX_RESIDUES, backbone?.metrics.length ?? DEFAULT_LENGTH);
  const sequences = Array.from({ length: count }, (_, i) => designSequence(seed, i + 1, length, temperature));

  const makeFile = (): MadeFile[] => {
    const best = sequences.reduce((a, b) => (b.globalScore < a.globalScore ? b : a));
    return [
      {
        text: sequences.map(({ fasta }) => fasta).join(''),
        contentType: 'text/x-fasta',
        extension: 'fasta',
        metrics: { global_score: best.globalScore, seq_recovery: best.seqRecovery, length },
      },
    ];
  };

  return {
    messages: [
      backbone
        ? `encoding a backbone of ${countOf(length, 'residue')}`
        : `no backbone among the inputs: encoding an example of ${length} residues`,
      ...checkpoints(count, 6).map((done) => `sampled sequence ${done}/${count} at temperature ${temperature}`),
      `scoring ${countOf(count, 'sequence')}`,
    ],
    sequences,
    results: [makeFile],
  };
};

/** A hotter sampling scores worse and recovers less. */
function designSequence(seed: string, sampleIndex: number, length: number, temperature: number): SequenceRecord {
  const random = createRandom(`${seed} sequence ${sampleIndex}`);
  const heat = Math.min(1, temperature / 2);
  const globalScore = round(random.between(0.7, 1.3) + 0.3 * heat, 4);
  const seqRecovery = round(random.between(0.4, 0.6) - 0.1 * heat, 4);
  const title = `>sample=${sampleIndex}, score=${globalScore.toFixed(4)}, seq_recovery=${seqRecovery.toFixed(4)}`;
  return { fasta: `${title}\n${drawSequence(length, random)}\n`, globalScore, seqRecovery, sampleIndex };
}
