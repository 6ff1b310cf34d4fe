import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Design, type RankQuery, rankDesigns } from '../../src/orchestrator/engine/ranking.ts';

const NAMES = ['plddt', 'pae', 'global_score', 'rmsd', 'iptm'];

const values = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -3, max: 3 }) },
  fc.double(),
  fc.constantFrom(Number.NaN, Infinity, -Infinity, -0),
);
const designs: fc.Arbitrary<Design[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom('artifact' as const, 'sequence' as const),
      sourceStep: fc.constantFrom('fold', 'design'),
      metrics: fc.dictionary(fc.constantFrom(...NAMES), values),
    }),
    { maxLength: 25 },
  )
  .map((list) => list.map((design, i) => ({ ...design, id: `design-${i}` })));
const bounds = fc.option(fc.integer({ min: -3, max: 3 }), { nil: undefined });
const queries: fc.Arbitrary<RankQuery> = fc.record({
  metric: fc.constantFrom(...NAMES, 'constructor', 'no_such_metric'),
  maximize: fc.option(fc.boolean(), { nil: undefined }),
  filters: fc.array(fc.record({ metric: fc.constantFrom(...NAMES), min: bounds, max: bounds }), { maxLength: 3 }),
  topK: fc.nat(30),
});

/** The same by insertion: every design goes behind all that are at least as good. */
function rankNaively(candidates: readonly Design[], query: RankQuery): string[] {
  const has = (design: Design, name: string) =>
    Object.keys(design.metrics).includes(name) && !Number.isNaN(design.metrics[name]);
  const lowerWins = query.maximize === undefined ? /^(pae|global_score|rmsd)$/.test(query.metric) : !query.maximize;
  const order: Design[] = [];
  for (const design of candidates) {
    if (!has(design, query.metric)) continue;
    let kept = true;
    for (const { metric, min, max } of query.filters) {
      if (!has(design, metric)) kept = false;
      else if (min !== undefined && design.metrics[metric]! < min) kept = false;
      else if (max !== undefined && design.metrics[metric]! > max) kept = false;
    }
    if (!kept) continue;
    const score = design.metrics[query.metric]!;
    const worse = order.findIndex((other) =>
      lowerWins ? other.metrics[query.metric]! > score : other.metrics[query.metric]! < score,
    );
    order.splice(worse < 0 ? order.length : worse, 0, design);
  }
  return order.map(({ id }) => id);
}

const design = (id: string, metrics: Record<string, number>): Design => ({
  id,
  kind: 'artifact',
  sourceStep: 'fold',
  metrics,
});

describe('rankDesigns', () => {
  it('agrees with a naive model', () => {
    fc.assert(
      fc.property(designs, queries, (candidates, query) => {
        const ranking = rankDesigns(candidates, query);
        const expected = rankNaively(candidates, query);
        assert.deepEqual(
          ranking.designs.map(({ id }) => id),
          query.topK === 0 ? expected : expected.slice(0, query.topK),
        );
        assert.equal(ranking.totalConsidered, candidates.length);
        assert.equal(ranking.totalRanked, expected.length);
        for (const [i, { rank, score, ...rest }] of ranking.designs.entries()) {
          assert.equal(rank, i + 1);
          assert.ok(Object.is(score, rest.metrics[query.metric]));
          assert.deepEqual(
            rest,
            candidates.find(({ id }) => id === rest.id),
          );
        }
      }),
    );
  });

  it('takes low values for best only for pae, global_score and rmsd, and does as it is told', () => {
    const pair = (metric: string) => [design('low', { [metric]: 1 }), design('high', { [metric]: 2 })];
    const winner = (metric: string, maximize?: boolean) =>
      rankDesigns(pair(metric), { metric, maximize, filters: [], topK: 1 }).designs[0]?.id;
    for (const metric of ['pae', 'global_score', 'rmsd']) {
      assert.equal(winner(metric), 'low');
      assert.equal(winner(metric, true), 'high');
    }
    for (const metric of ['plddt', 'ptm', 'iptm', 'seq_recovery', 'confidence_score']) {
      assert.equal(winner(metric), 'high');
      assert.equal(winner(metric, false), 'low');
    }
  });

  it('gives equal scores the ranks 1, 2, 3 in the order of the candidates', () => {
    const ranking = rankDesigns(
      ['c', 'a', 'b'].map((id) => design(id, { plddt: 80 })),
      { metric: 'plddt', filters: [], topK: 0 },
    );
    assert.deepEqual(
      ranking.designs.map(({ id, rank }) => [id, rank]),
      [
        ['c', 1],
        ['a', 2],
        ['b', 3],
      ],
    );
  });

  it('drops NaN and a metric that is only inherited', () => {
    const candidates = [design('nan', { plddt: Number.NaN }), design('none', {})];
    assert.equal(rankDesigns(candidates, { metric: 'plddt', filters: [], topK: 0 }).totalRanked, 0);
    assert.equal(rankDesigns(candidates, { metric: 'toString', filters: [], topK: 0 }).totalRanked, 0);
    const filtered = { metric: 'plddt', filters: [{ metric: 'ptm' }], topK: 0 };
    assert.equal(rankDesigns([design('lacks', { plddt: 1 })], filtered).totalRanked, 0);
  });
});
