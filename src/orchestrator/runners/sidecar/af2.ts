import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import {
  AF2Service,
  type Capabilities,
  MsaCachePolicy,
  type RunRequestSchema,
  type RunResult,
} from '../../../gen/foldforge/af2/v1/af2_pb.ts';
import type { ArtifactRecord, StepOutput } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import { readArtifact } from './artifacts.ts';
import { bestChains } from './fasta.ts';
import { fromFloat } from './metrics.ts';
import { choice, flag, residues, text, whole } from './param-kinds.ts';
import { optional, type ValuesOf, withDefault } from './param-table.ts';
import { protocolFailure } from './protocol-failure.ts';
import { defineTool } from './tool.ts';

const policy = choice('msa_cache_policy_', {
  use_cache: MsaCachePolicy.USE_CACHE,
  force_recompute: MsaCachePolicy.FORCE_RECOMPUTE,
  cache_only: MsaCachePolicy.CACHE_ONLY,
});

export const af2Params = {
  sequence: optional(
    residues({ chains: 'several' }),
    'what to fold; without it, the best sequence of the earlier steps',
  ),
  msa_cache_policy: optional(policy, 'whether a stored alignment is used; without it, the tool decides'),
  msa_cache_key: optional(text, 'the name under which the alignment is stored'),
  num_models: withDefault(whole(1), 1, 'models to predict with'),
  num_recycles: withDefault(whole(0), 3, 'times that a prediction is fed back'),
  use_templates: withDefault(flag, false, 'whether known structures may serve as templates'),
  relax: withDefault(flag, false, 'whether to relax the prediction in a force field'),
};

type Values = ValuesOf<typeof af2Params>;
type Request = Exclude<MessageInitShape<typeof RunRequestSchema>, { $typeName: string }>;

/** Structures of one sequence, one for each model. */
export const connectAf2 = defineTool({
  tool: 'af2',
  params: af2Params,
  createStub: (transport) => createClient(AF2Service, transport),
  requestOf,
  madeOf,

  checkPlan({ sequence }, inputTools) {
    if (sequence !== undefined || inputTools.includes('proteinmpnn')) return;
    throw refuse('INVALID_ARGUMENT', 'params.sequence is missing, and the step depends on no proteinmpnn step');
  },

  findExcess(
    { multimerSupported, templatesSupported }: Capabilities,
    { sequence, use_templates },
    _resources,
    request,
  ) {
    if (use_templates && !templatesSupported) {
      return 'params.use_templates is true, but the af2 sidecar has no templates';
    }
    const folded = request?.sequence ?? sequence;
    if (!folded?.includes(':') || multimerSupported) return undefined;
    return `${sequence ? 'params.sequence' : 'the designed sequence'} has several chains, but the af2 sidecar folds only one`;
  },
});

function requestOf(values: Values, inputs: readonly StepOutput[]): Request {
  return {
    sequence: values.sequence ?? bestChains(inputs, 'params.sequence').join(':'),
    msaCachePolicy: values.msa_cache_policy ?? MsaCachePolicy.UNSPECIFIED,
    ...(values.msa_cache_key !== undefined && { msaCacheKey: values.msa_cache_key }),
    numModels: values.num_models,
    numRecycles: values.num_recycles,
    useTemplates: values.use_templates,
    relax: values.relax,
  };
}

function madeOf({ predictions, msaA3m, msaCacheHit }: RunResult) {
  if (predictions.length === 0) throw protocolFailure('the sidecar made no predictions', { retryable: false });
  const artifacts = predictions.flatMap(({ modelId, structurePdb, pae, meanPlddt, ptm, iptm }): ArtifactRecord[] => {
    const plddt = fromFloat(meanPlddt);
    const scores = { plddt, mean_plddt: plddt, ptm: fromFloat(ptm), iptm: fromFloat(iptm), model_id: modelId };
    const structure = readArtifact(structurePdb, `the structure of model ${modelId}`, 'chemical/x-pdb', scores);
    if (!pae) return [structure];
    return [
      structure,
      readArtifact(pae, `the error matrix of model ${modelId}`, 'application/json', { model_id: modelId }),
    ];
  });
  if (!msaA3m) return { artifacts, sequences: [], files: [] };
  const alignment = readArtifact(msaA3m, 'the alignment', 'text/x-a3m', { msa_cache_hit: msaCacheHit ? 1 : 0 });
  return { artifacts: [...artifacts, alignment], sequences: [], files: [] };
}
