import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { drawLengths, readContigs } from '../../../src/orchestrator/runners/mock/contigs.ts';
import { createRandom } from '../../../src/orchestrator/runners/mock/random.ts';
import { StepFailure } from '../../../src/orchestrator/runners/step-failure.ts';

const part = fc
  .record({ chain: fc.constantFrom('', 'A', 'b'), first: fc.integer({ min: 1, max: 9 }), more: fc.nat(9) })
  .map(({ chain, first, more }) => ({
    text: more === 0 ? `${chain}${first}` : `${chain}${first}-${first + more}`,
    min: chain ? more + 1 : first,
    max: chain ? more + 1 : first + more,
  }));
const chains = fc.array(fc.array(part, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 });

describe('readContigs', () => {
  it('reads what the language can say, and lengths are drawn from the ranges', () => {
    fc.assert(
      fc.property(chains, fc.constantFrom('/0 ', ' '), fc.boolean(), fc.string(), (parts, joint, brackets, seed) => {
        const text = parts.map((chain) => chain.map(({ text }) => text).join('/')).join(joint);
        const lengths = drawLengths(readContigs(brackets ? `[${text}]` : text), createRandom(seed));
        assert.equal(lengths.length, parts.length);
        for (const [i, length] of lengths.entries()) {
          assert.ok(length >= parts[i]!.reduce((sum, { min }) => sum + min, 0));
          assert.ok(length <= parts[i]!.reduce((sum, { max }) => sum + max, 0));
        }
      }),
    );
  });

  it('answers any other text with a fault, or with at most 400 residues', () => {
    const texts = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0123456789-/ A[]') }));
    fc.assert(
      fc.property(texts, (text) => {
        try {
          const longest = readContigs(text).flat();
          assert.ok(longest.length > 0 && longest.reduce((sum, { max }) => sum + max, 0) <= 400);
        } catch (error) {
          assert.ok(error instanceof StepFailure, `${error}`);
          assert.equal(error.fault.code, 'INVALID_CONTIG');
          assert.ok(error.message.length < 300);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
