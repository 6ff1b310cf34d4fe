import { createHash } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RunRequest as Af2Request, RunResultSchema as Af2Result } from '../../src/gen/foldforge/af2/v1/af2_pb.ts';
import type {
  RunRequest as BoltzRequest,
  RunResultSchema as BoltzResult,
} from '../../src/gen/foldforge/boltz/v1/boltz_pb.ts';
import type { ArtifactSchema } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type {
  RunRequest as ProteinmpnnRequest,
  RunResultSchema as ProteinmpnnResult,
} from '../../src/gen/foldforge/proteinmpnn/v1/proteinmpnn_pb.ts';
import type {
  RunRequest as RfdiffusionRequest,
  RunResultSchema as RfdiffusionResult,
} from '../../src/gen/foldforge/rfdiffusion/v1/rfdiffusion_pb.ts';
import type { PutArtifact } from '../../src/orchestrator/runners/artifact-writer.ts';

type ArtifactInit = MessageInitShape<typeof ArtifactSchema>;

export interface Requests {
  readonly rfdiffusion: RfdiffusionRequest;
  readonly proteinmpnn: ProteinmpnnRequest;
  readonly boltz: BoltzRequest;
  readonly af2: Af2Request;
}

export interface Results {
  readonly rfdiffusion: MessageInitShape<typeof RfdiffusionResult>;
  readonly proteinmpnn: MessageInitShape<typeof ProteinmpnnResult>;
  readonly boltz: MessageInitShape<typeof BoltzResult>;
  readonly af2: MessageInitShape<typeof Af2Result>;
}

/** Names files without storing them. */
export const nameArtifact: PutArtifact = async (bytes, contentType, extension, metrics) => {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const uri = `r2://sidecar/artifacts/${sha256}.${extension}`;
  return { uri, contentType, sizeBytes: bytes.byteLength, sha256, metrics };
};

const AMINO_ACIDS = 'ACDEFGHIKLMNPQRSTVWY';
const LENGTH = 24;

/** Small results that follow from what was asked alone. */
export function createResults(putArtifact: PutArtifact) {
  async function store(text: string, contentType: string, extension: string): Promise<ArtifactInit> {
    const record = await putArtifact(new TextEncoder().encode(text), contentType, extension, { length: LENGTH });
    return { ...record, sizeBytes: BigInt(record.sizeBytes), metrics: { ...record.metrics } };
  }

  function listOf<T>(count: number, seed: string, make: (draw: Draw, index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(Array.from({ length: count || 1 }, (_, index) => make(createDraw(`${seed} ${index}`), index)));
  }

  const pdb = (draw: Draw) => store(pdbOf(draw), 'chemical/x-pdb', 'pdb');
  const cif = (draw: Draw) => store(`data_model\n# ${draw.hex}\n`, 'chemical/x-mmcif', 'cif');
  const pae = (draw: Draw) => store(`{"pae":[[${draw.between(0, 30, 40)}]]}\n`, 'application/json', 'json');

  return {
    async rfdiffusion({ contigs, numDesigns }: RfdiffusionRequest): Promise<Results['rfdiffusion']> {
      const designs = await listOf(numDesigns, `rfdiffusion ${contigs}`, async (draw, designIndex) => {
        return { backbonePdb: await pdb(draw), plddt: draw.between(60, 95, 0), designIndex };
      });
      return { designs };
    },

    async proteinmpnn({ backbonePdb, numSequences, seed }: ProteinmpnnRequest): Promise<Results['proteinmpnn']> {
      const name = `proteinmpnn ${backbonePdb?.uri} ${seed}`;
      const sequences = await listOf(numSequences, name, async (draw, index) => {
        const scores = { globalScore: draw.between(0.7, 1.3, 0), seqRecovery: draw.between(0.3, 0.6, 2) };
        return { fasta: `>designed_${index + 1}\n${sequenceOf(draw)}\n`, ...scores, sampleIndex: index + 1 };
      });
      return { sequences };
    },

    async boltz({ chains, diffusionSamples }: BoltzRequest): Promise<Results['boltz']> {
      const name = `boltz ${chains.map(({ id, sequence }) => `${id}:${sequence}`).join()}`;
      const predictions = await listOf(diffusionSamples, name, async (draw, sampleIndex) => {
        const scores = { confidenceScore: draw.between(0.4, 0.95, 0), ptm: draw.between(0.4, 0.9, 2) };
        return { structureCif: await cif(draw), pae: await pae(draw), ...scores, iptm: 0.5, sampleIndex };
      });
      return { predictions };
    },

    async af2({ sequence, numModels }: Af2Request): Promise<Results['af2']> {
      const predictions = await listOf(numModels, `af2 ${sequence}`, async (draw, modelId) => {
        const scores = { meanPlddt: draw.between(50, 95, 0), ptm: draw.between(0.4, 0.9, 2) };
        return { modelId, structurePdb: await pdb(draw), pae: await pae(draw), ...scores };
      });
      const msaA3m = await store(`>query\n${sequence}\n`, 'text/x-a3m', 'a3m');
      return { predictions, msaCacheHit: false, msaCacheKey: 'test', msaA3m };
    },
  };
}

interface Draw {
  readonly hex: string;
  /** `at` is where in the digest the number comes from. */
  readonly between: (min: number, max: number, at: number) => number;
}

function createDraw(seed: string): Draw {
  const digest = createHash('sha512').update(seed).digest();
  const between = (min: number, max: number, at: number) => min + ((max - min) * digest.readUInt16BE(at)) / 2 ** 16;
  return { hex: digest.toString('hex'), between };
}

function sequenceOf(draw: Draw): string {
  return Array.from({ length: LENGTH }, (_, i) => AMINO_ACIDS[Math.floor(draw.between(0, 20, i + 4))]).join('');
}

/** The alpha carbons of a straight helix. */
function pdbOf(draw: Draw): string {
  const atoms = Array.from({ length: LENGTH }, (_, i) => {
    const turn = (i * 100 * Math.PI) / 180;
    const place = [2.3 * Math.cos(turn), 2.3 * Math.sin(turn), 1.5 * i].map((value) => value.toFixed(3).padStart(8));
    const number = String(i + 1);
    return `ATOM  ${number.padStart(5)}  CA  GLY A${number.padStart(4)}    ${place.join('')}  1.00 80.00           C`;
  });
  return [`REMARK   1 ${draw.hex.slice(0, 60)}`, ...atoms, 'TER', 'END', ''].join('\n');
}
