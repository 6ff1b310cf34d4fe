export interface Design {
  /** The artifact's sha256 (or its uri), or `seq:<sample_index>`. */
  readonly id: string;
  readonly kind: 'artifact' | 'sequence';
  /** The id of the step that made it. */
  readonly sourceStep: string;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface RankQuery {
  readonly metric: string;
  /** Unset: inferred from the metric's name. */
  readonly maximize?: boolean | undefined;
  /** Bounds are inclusive. */
  readonly filters: readonly {
    readonly metric: string;
    readonly min?: number | undefined;
    readonly max?: number | undefined;
  }[];
  /** 0 keeps all. */
  readonly topK: number;
}

/** `rank` counts from 1; `score` is the value of the ranked metric. */
export type RankedDesign = Design & { readonly rank: number; readonly score: number };

export interface Ranking {
  readonly designs: RankedDesign[];
  /** Every candidate. */
  readonly totalConsidered: number;
  /** Those that were ranked, before `topK` cut them. */
  readonly totalRanked: number;
}

const LOWER_IS_BETTER = new Set(['pae', 'global_score', 'rmsd']);

/**
 * Orders designs by one metric, best first (contract/grpc, RankDesigns). A design that lacks the ranked or a filtered
 * metric is left out, and NaN counts as lacking. Equal scores keep the order of the candidates and get the ranks
 * 1, 2, 3 in that order: a rank is a place in the list, and no two designs share one.
 */
export function rankDesigns(candidates: readonly Design[], query: RankQuery): Ranking {
  const maximize = query.maximize ?? !LOWER_IS_BETTER.has(query.metric);
  const scored: { design: Design; score: number }[] = [];
  for (const design of candidates) {
    const score = readMetric(design, query.metric);
    if (score !== undefined && passes(design, query.filters)) scored.push({ design, score });
  }
  scored.sort((a, b) => (maximize ? compare(b.score, a.score) : compare(a.score, b.score)));
  const kept = query.topK === 0 ? scored : scored.slice(0, query.topK);
  return {
    designs: kept.map(({ design, score }, index) => ({ ...design, rank: index + 1, score })),
    totalConsidered: candidates.length,
    totalRanked: scored.length,
  };
}

function passes(design: Design, filters: RankQuery['filters']): boolean {
  return filters.every(({ metric, min = -Infinity, max = Infinity }) => {
    const value = readMetric(design, metric);
    return value !== undefined && value >= min && value <= max;
  });
}

function readMetric(design: Design, metric: string): number | undefined {
  // A metric's name comes from the caller, and "constructor" is no metric.
  if (!Object.hasOwn(design.metrics, metric)) return undefined;
  const value = design.metrics[metric];
  return Number.isNaN(value) ? undefined : value;
}

/** Subtraction would answer NaN for two equal infinities. */
function compare(a: number, b: number): number {
  if (a < b) return -1;
  return a > b ? 1 : 0;
}
