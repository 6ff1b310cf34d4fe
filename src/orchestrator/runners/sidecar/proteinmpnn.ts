import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import {
  type Capabilities,
  ProteinMPNNService,
  type RunRequestSchema,
  type RunResult,
  type Sequence,
} from '../../../gen/foldforge/proteinmpnn/v1/proteinmpnn_pb.ts';
import { bestDesignedSequence, bestStructure } from '../best-inputs.ts';
import type { SequenceRecord, StepOutput, Tool } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import type { MadeFile } from '../upload.ts';
import { artifact, artifactOfRecord } from './artifacts.ts';
import { cleanText } from './clean-text.ts';
import { chainsOfFasta } from './fasta.ts';
import { fromFloat } from './metrics.ts';
import { decimal, flag, texts, whole } from './param-kinds.ts';
import { optional, type ValuesOf, withDefault } from './param-table.ts';
import { protocolFailure } from './protocol-failure.ts';
import { defineTool } from './tool.ts';

export const proteinmpnnParams = {
  backbone_pdb: optional(artifact, 'the backbone; without it, the best structure of the earlier steps'),
  num_sequences: withDefault(whole(1), 4, 'sequences to design'),
  sampling_temp: withDefault(decimal(0, 10), 0.1, 'temperature of the sampling'),
  fixed_positions: optional(texts, 'residues that keep what they are, such as `A10`'),
  omit_aas: optional(texts, 'amino acids to leave out, such as `C`'),
  use_soluble_model: withDefault(flag, false, 'whether to use the weights for soluble proteins'),
  seed: optional(whole(0), 'seed of the sampling'),
};

type Values = ValuesOf<typeof proteinmpnnParams>;
type Request = Exclude<MessageInitShape<typeof RunRequestSchema>, { $typeName: string }>;

const MAKERS: ReadonlySet<Tool> = new Set(['rfdiffusion', 'boltz', 'af2']);

/** Sequences for one backbone, and all of them in one FASTA file. */
export const connectProteinmpnn = defineTool({
  tool: 'proteinmpnn',
  params: proteinmpnnParams,
  createStub: (transport) => createClient(ProteinMPNNService, transport),
  requestOf,
  madeOf,

  checkPlan({ backbone_pdb }, inputTools) {
    if (backbone_pdb || inputTools.some((tool) => MAKERS.has(tool))) return;
    const message = 'params.backbone_pdb is missing, and the step depends on none that makes a structure';
    throw refuse('INVALID_ARGUMENT', `${message} (rfdiffusion, boltz, af2)`);
  },

  findExcess({ solubleModelAvailable }: Capabilities, { use_soluble_model }) {
    if (!use_soluble_model || solubleModelAvailable) return undefined;
    return 'params.use_soluble_model is true, but the proteinmpnn sidecar has no such model';
  },
});

function requestOf(values: Values, inputs: readonly StepOutput[]): Request {
  const wired = bestStructure(inputs);
  const backbonePdb = values.backbone_pdb ?? (wired && artifactOfRecord(wired));
  if (!backbonePdb) {
    throw refuse(
      'INVALID_INPUT',
      'params.backbone_pdb is missing, and no step that this one depends on made a structure',
    );
  }
  return {
    backbonePdb,
    numSequences: values.num_sequences,
    samplingTemp: values.sampling_temp,
    fixedPositions: values.fixed_positions ?? [],
    omitAas: values.omit_aas ?? [],
    useSolubleModel: values.use_soluble_model,
    ...(values.seed !== undefined && { seed: values.seed }),
  };
}

function madeOf({ sequences: told }: RunResult) {
  if (told.length === 0) throw protocolFailure('the sidecar made no sequences', { retryable: false });
  const sequences = told.map(recordOf);
  return { artifacts: [], sequences, files: [fastaFileOf(sequences)] };
}

function recordOf({ fasta, globalScore, seqRecovery, sampleIndex }: Sequence): SequenceRecord {
  const name = `sequence ${sampleIndex}`;
  if (chainsOfFasta(fasta).length === 0) throw protocolFailure(`${name} has no residues`, { retryable: false });
  if (!Number.isFinite(globalScore)) {
    throw protocolFailure(`the global_score of ${name} is no number`, { retryable: false });
  }
  const scores = {
    globalScore: fromFloat(globalScore),
    // It is 0/0 when every residue is fixed.
    seqRecovery: Number.isFinite(seqRecovery) ? fromFloat(seqRecovery) : 0,
  };
  const title = `>sample=${sampleIndex}, score=${scores.globalScore}, seq_recovery=${scores.seqRecovery}\n`;
  const body = `${cleanText(fasta).trim()}\n`;
  return { fasta: body.startsWith('>') ? body : title + body, ...scores, sampleIndex };
}

function fastaFileOf(sequences: readonly SequenceRecord[]): MadeFile {
  const best = bestDesignedSequence([{ artifacts: [], sequences }])!;
  return {
    text: sequences.map(({ fasta }) => fasta).join(''),
    contentType: 'text/x-fasta',
    extension: 'fasta',
    metrics: {
      global_score: best.globalScore,
      seq_recovery: best.seqRecovery,
      length: chainsOfFasta(best.fasta).join('').length,
    },
  };
}
