import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import {
  BoltzService,
  type Capabilities,
  EntityType,
  type RunRequestSchema,
  type RunResult,
} from '../../../gen/foldforge/boltz/v1/boltz_pb.ts';
import type { ArtifactRecord, StepOutput } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import { artifact, readArtifact } from './artifacts.ts';
import { chainParams, chainsOf, checkEntities, ligandParams, ligandsOf } from './boltz-entities.ts';
import { fromFloat } from './metrics.ts';
import { whole } from './param-kinds.ts';
import { listOf, object, optional, type ValuesOf, withDefault } from './param-table.ts';
import { protocolFailure } from './protocol-failure.ts';
import { defineTool } from './tool.ts';

export const boltzParams = {
  chains: optional(
    listOf(object(chainParams, 'a chain')),
    'the chains of the complex; without them, and for one that has no sequence, the best sequence of the earlier steps',
  ),
  ligands: optional(listOf(object(ligandParams, 'a ligand')), 'small molecules, each by `smiles` or by `ccd`'),
  msa: optional(artifact, 'an alignment of the sequences'),
  recycling_steps: withDefault(whole(0), 3, 'times that a prediction is fed back'),
  diffusion_samples: withDefault(whole(1), 1, 'predictions to make'),
  sampling_steps: withDefault(whole(1), 200, 'steps of the diffusion'),
};

type Values = ValuesOf<typeof boltzParams>;
type Request = Exclude<MessageInitShape<typeof RunRequestSchema>, { $typeName: string }>;

/** Structures of a complex. */
export const connectBoltz = defineTool({
  tool: 'boltz',
  params: boltzParams,
  createStub: (transport) => createClient(BoltzService, transport),
  requestOf,
  madeOf,

  checkPlan({ chains = [], ligands = [] }, inputTools) {
    checkEntities(chains, ligands);
    if (inputTools.includes('proteinmpnn')) return;
    const index = chains.findIndex(({ sequence }) => sequence === undefined);
    if (chains.length > 0 && index < 0) return;
    const missing = index < 0 ? 'params.chains' : `params.chains[${index}].sequence`;
    throw refuse('INVALID_ARGUMENT', `${missing} is missing, and the step depends on no proteinmpnn step`);
  },

  findExcess({ supportsLigands, supportsNucleicAcids }: Capabilities, { chains = [], ligands = [] }) {
    if (ligands.length > 0 && !supportsLigands)
      return 'params.ligands is given, but the boltz sidecar takes no ligands';
    const index = chains.findIndex(({ entity_type }) => entity_type !== EntityType.PROTEIN);
    if (index < 0 || supportsNucleicAcids) return undefined;
    return `params.chains[${index}] is no protein, but the boltz sidecar takes no nucleic acids`;
  },
});

function requestOf(values: Values, inputs: readonly StepOutput[]): Request {
  const { chains = [], ligands = [] } = values;
  checkEntities(chains, ligands);
  return {
    chains: chainsOf(chains, ligands, inputs),
    ligands: ligandsOf(ligands),
    ...(values.msa && { msa: values.msa }),
    recyclingSteps: values.recycling_steps,
    diffusionSamples: values.diffusion_samples,
    samplingSteps: values.sampling_steps,
  };
}

function madeOf({ predictions }: RunResult) {
  if (predictions.length === 0) throw protocolFailure('the sidecar made no predictions', { retryable: false });
  const artifacts = predictions.flatMap((prediction): ArtifactRecord[] => {
    const { structureCif, pae, confidenceScore, ptm, iptm, sampleIndex } = prediction;
    const scores = {
      confidence_score: fromFloat(confidenceScore),
      ptm: fromFloat(ptm),
      iptm: fromFloat(iptm),
      sample_index: sampleIndex,
    };
    const structure = readArtifact(structureCif, `the structure of sample ${sampleIndex}`, 'chemical/x-mmcif', scores);
    if (!pae) return [structure];
    const place = { sample_index: sampleIndex };
    return [structure, readArtifact(pae, `the error matrix of sample ${sampleIndex}`, 'application/json', place)];
  });
  return { artifacts, sequences: [], files: [] };
}
