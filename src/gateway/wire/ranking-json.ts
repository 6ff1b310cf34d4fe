import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  RankDesignsRequestSchema,
  RankDesignsResponse,
} from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { finite } from './scalars.ts';
import { metricsToJson } from './workflow-json.ts';

/** A RankRequest as openapi.yaml has it. */
export interface RankRequestJson {
  readonly metric: string;
  readonly maximize?: boolean;
  readonly filters?: readonly { readonly metric: string; readonly min?: number; readonly max?: number }[];
  readonly top_k?: number;
}

export function rankRequestFromJson(
  workflowId: string,
  { metric, maximize, filters, top_k }: RankRequestJson,
): MessageInitShape<typeof RankDesignsRequestSchema> {
  return {
    workflowId,
    metric,
    ...(maximize !== undefined && { maximize }),
    filters: (filters ?? []).map((filter) => ({ ...filter })),
    topK: top_k ?? 0,
  };
}

export function rankingToJson(ranking: RankDesignsResponse) {
  return {
    designs: ranking.designs.map((design) => ({
      rank: design.rank,
      score: finite(design.score) ?? 0,
      id: design.id,
      kind: design.kind,
      source_step: design.sourceStep,
      metrics: metricsToJson(design.metrics),
    })),
    total_considered: ranking.totalConsidered,
    total_ranked: ranking.totalRanked,
  };
}
