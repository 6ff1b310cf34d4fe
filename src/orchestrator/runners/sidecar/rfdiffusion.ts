import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import {
  type Capabilities,
  RFdiffusionService,
  type RunRequestSchema,
  type RunResult,
} from '../../../gen/foldforge/rfdiffusion/v1/rfdiffusion_pb.ts';
import { bestStructure } from '../best-inputs.ts';
import type { StepOutput } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import { artifact, artifactOfRecord, readArtifact } from './artifacts.ts';
import { cleanText } from './clean-text.ts';
import { fromFloat } from './metrics.ts';
import { base64, filledText, flag, text, textMap, whole } from './param-kinds.ts';
import { optional, required, type ValuesOf, withDefault } from './param-table.ts';
import { protocolFailure } from './protocol-failure.ts';
import { defineTool } from './tool.ts';

export const rfdiffusionParams = {
  contigs: required(filledText, "what to build, in RFdiffusion's contig language, such as `70-90`"),
  input_pdb: optional(base64, 'a structure to start from, as a PDB file in base64'),
  input_pdb_ref: optional(
    artifact,
    'the same in the object store; without it, the best structure of the earlier steps',
  ),
  num_designs: withDefault(whole(1), 2, 'backbones to make'),
  diffusion_steps: withDefault(whole(1), 50, 'steps of the diffusion'),
  hotspot_res: optional(text, 'residues of the target to bind to, such as `A30,A33`'),
  symmetry: withDefault(flag, false, 'whether to make a symmetric assembly'),
  symmetry_type: optional(text, 'which symmetry, such as `c3`'),
  extra: optional(textMap, "settings of RFdiffusion's own, by name"),
};

const MAX_LISTED_CHARACTERS = 500;

type Values = ValuesOf<typeof rfdiffusionParams>;
type Request = Exclude<MessageInitShape<typeof RunRequestSchema>, { $typeName: string }>;

/** Backbones. */
export const connectRfdiffusion = defineTool({
  tool: 'rfdiffusion',
  params: rfdiffusionParams,
  createStub: (transport) => createClient(RFdiffusionService, transport),
  checkPlan: checkStructure,
  requestOf,
  madeOf,

  findExcess({ maxNumDesigns, supportedGpuTypes }: Capabilities, { num_designs }, { gpuType }) {
    // 0 and an empty list are what a sidecar says that says nothing.
    if (maxNumDesigns > 0 && num_designs > maxNumDesigns) {
      return `params.num_designs is ${num_designs}, but the rfdiffusion sidecar makes at most ${maxNumDesigns}`;
    }
    const isThere = supportedGpuTypes.some((type) => type.toLowerCase() === gpuType.toLowerCase());
    if (gpuType === '' || supportedGpuTypes.length === 0 || isThere) return undefined;
    const has = cleanText(supportedGpuTypes.join(', '), MAX_LISTED_CHARACTERS);
    return `resources.gpu_type is ${JSON.stringify(gpuType)}, but the rfdiffusion sidecar has: ${has}`;
  },
});

function checkStructure({ input_pdb, input_pdb_ref }: Values): void {
  if (!input_pdb || !input_pdb_ref) return;
  throw refuse('INVALID_ARGUMENT', 'params.input_pdb and params.input_pdb_ref are both given, but only one can be');
}

function requestOf(values: Values, inputs: readonly StepOutput[]): Request {
  checkStructure(values);
  const wired = values.input_pdb ? undefined : bestStructure(inputs);
  const inputPdbRef = values.input_pdb_ref ?? (wired && artifactOfRecord(wired));
  return {
    contigs: values.contigs,
    ...(values.input_pdb && { inputPdb: values.input_pdb }),
    ...(inputPdbRef && { inputPdbRef }),
    numDesigns: values.num_designs,
    diffusionSteps: values.diffusion_steps,
    ...(values.hotspot_res !== undefined && { hotspotRes: values.hotspot_res }),
    symmetry: values.symmetry,
    ...(values.symmetry_type !== undefined && { symmetryType: values.symmetry_type }),
    extra: values.extra ?? {},
  };
}

function madeOf({ designs }: RunResult) {
  if (designs.length === 0) throw protocolFailure('the sidecar made no designs', { retryable: false });
  const artifacts = designs.map(({ backbonePdb, plddt, designIndex }) => {
    const metrics = { plddt: fromFloat(plddt), design_index: designIndex };
    return readArtifact(backbonePdb, `the backbone of design ${designIndex}`, 'chemical/x-pdb', metrics);
  });
  return { artifacts, sequences: [], files: [] };
}
