import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { type WorkflowSpec, WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { checkSpec, SpecError } from '../../src/orchestrator/engine/graph.ts';
import { TOOLS } from '../../src/orchestrator/runners/runner.ts';

interface StepInit {
  id: string;
  tool?: string;
  dependsOn?: string[];
  params?: JsonObject;
}

function specOf(steps: StepInit[], name = 'a design'): WorkflowSpec {
  return create(WorkflowSpecSchema, { name, steps: steps.map((step) => ({ tool: 'af2', ...step })) });
}

function refusal(spec: WorkflowSpec): string {
  try {
    checkSpec(spec);
  } catch (error) {
    assert.ok(error instanceof SpecError, `not a SpecError: ${error}`);
    return error.message;
  }
  assert.fail('the spec was accepted');
}

/** Edges go from later to earlier places in `order`, so that there is never a cycle; steps are listed in any order. */
const dags = fc
  .uniqueArray(fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/), { minLength: 1, maxLength: 30 })
  .chain((ids) =>
    fc.record({
      ids: fc.constant(ids),
      listed: fc.shuffledSubarray(ids, { minLength: ids.length }),
      edges: fc.array(fc.tuple(fc.nat(ids.length - 1), fc.nat(ids.length - 1)), { maxLength: 90 }),
      tool: fc.constantFrom(...TOOLS),
    }),
  )
  .map(({ ids, listed, edges, tool }) => {
    const needs = new Map(ids.map((id) => [id, new Set<string>()]));
    for (const [a, b] of edges) if (a !== b) needs.get(ids[Math.max(a, b)]!)!.add(ids[Math.min(a, b)]!);
    return listed.map((id) => ({ id, tool, dependsOn: [...needs.get(id)!] }));
  });

/** A value in `depth` objects or lists. */
function nest(depth: number, value: JsonValue): JsonValue {
  return depth === 0 ? value : nest(depth - 1, depth % 2 === 0 ? [value] : { inner: value });
}

describe('checkSpec', () => {
  it('refuses params that are nested too deep to be read back', () => {
    const deep = (levels: number, innermost: JsonValue) =>
      specOf([{ id: 'shallow' }, { id: 'deep', params: { inner: nest(levels - 1, innermost) } }]);
    for (const innermost of [1, null, 'text']) {
      checkSpec(deep(32, innermost));
      const expected = 'the params of step "deep" are nested more than 32 levels deep';
      assert.equal(refusal(deep(33, innermost)), expected);
    }
    assert.match(refusal(deep(32, {})), /more than 32 levels/);
  });

  it('accepts every graph without a cycle', () => {
    fc.assert(fc.property(dags, (steps) => checkSpec(specOf(steps))));
  });

  it('names a cycle that one more edge closes', () => {
    const closable = dags.filter((steps) => steps.some(({ dependsOn }) => dependsOn.length > 0));
    fc.assert(
      fc.property(closable, fc.nat(), (steps, pick) => {
        const dependents = steps.filter(({ dependsOn }) => dependsOn.length > 0);
        const dependent = dependents[pick % dependents.length]!;
        // Any step that it needs, near or far, is made to need it.
        let needed = dependent.dependsOn[pick % dependent.dependsOn.length]!;
        for (let hops = pick % 4; hops > 0; hops--)
          needed = steps.find(({ id }) => id === needed)!.dependsOn[0] ?? needed;
        const closed = steps.map((step) =>
          step.id === needed ? { ...step, dependsOn: [...step.dependsOn, dependent.id] } : step,
        );
        const message = refusal(specOf(closed));
        const shown = /^steps (.+) depend on each other$/.exec(message)?.[1]?.split(' -> ');
        assert.ok(shown, message);
        assert.equal(shown[0], shown.at(-1));
        assert.ok(shown.length >= 3);
        if (shown.some((id) => id.endsWith(' more)'))) return;
        for (const [i, id] of shown.slice(0, -1).entries()) {
          assert.ok(closed.find((step) => step.id === id)?.dependsOn.includes(shown[i + 1]!), message);
        }
        // The new edge is part of every cycle, since there was none before.
        const at = shown.indexOf(needed);
        assert.ok(at >= 0 && shown[at + 1] === dependent.id, message);
      }),
    );
  });

  it('shows a small cycle whole and a long one cut short', () => {
    const pair = specOf([
      { id: 'x' },
      { id: 'a', dependsOn: ['x', 'b'] },
      { id: 'b', dependsOn: ['a'] },
      { id: 'after', dependsOn: ['b'] },
    ]);
    assert.equal(refusal(pair), 'steps a -> b -> a depend on each other');
    const ring = Array.from({ length: 256 }, (_, i) => ({
      id: `${i}`.padStart(64, 's'),
      dependsOn: [`${(i + 1) % 256}`.padStart(64, 's')],
    }));
    const message = refusal(specOf(ring));
    assert.match(message, / -> \(244 more\) -> /);
    assert.ok(message.length < 1000);
  });

  it('takes 256 steps that all depend on each step before them, quickly', () => {
    const ids = Array.from({ length: 256 }, (_, i) => `step-${i}`);
    const spec = specOf(ids.map((id, i) => ({ id, dependsOn: ids.slice(0, i) })));
    const start = performance.now();
    checkSpec(spec);
    assert.ok(performance.now() - start < 500);
  });

  it('bounds the name and the number of steps', () => {
    const step = { id: 'a' };
    checkSpec(specOf([step], 'n'.repeat(200)));
    // Characters are code points: these take two UTF-16 units each.
    checkSpec(specOf([step], '🧬'.repeat(200)));
    assert.match(refusal(specOf([step], '')), /needs a name/);
    assert.match(refusal(specOf([step], 'n'.repeat(201))), /201 characters/);
    assert.match(refusal(specOf([])), /no steps/);
    assert.match(refusal(specOf(Array.from({ length: 257 }, (_, i) => ({ id: `${i}` })))), /257 steps/);
  });

  const refused: [what: string, steps: StepInit[], message: RegExp][] = [
    ['an empty id', [{ id: 'a' }, { id: '' }], /^step 2 has the id ""/],
    ['an id with a slash', [{ id: 'a/b' }], /^step 1 has the id "a\/b"/],
    ['an id with a line break at its end', [{ id: 'a\n' }], /^step 1 has the id "a\\n"/],
    ['an id of 65 characters', [{ id: 'a'.repeat(65) }], /^step 1 has the id "a{64}…"/],
    ['an id twice', [{ id: 'a' }, { id: 'b' }, { id: 'a' }], /^two steps have the id "a"$/],
    [
      'an unknown tool',
      [{ id: 'a', tool: 'AF2' }],
      /^step "a" names the tool "AF2", .*rfdiffusion, proteinmpnn, boltz, af2$/,
    ],
    ['a tool named like a method', [{ id: 'a', tool: 'constructor' }], /^step "a" names the tool "constructor"/],
    ['a step that is not there', [{ id: 'a', dependsOn: ['b'] }], /^step "a" depends on "b", which is no step/],
    ['itself', [{ id: 'a', dependsOn: ['a'] }], /^step "a" depends on itself$/],
    ['the same step twice', [{ id: 'a' }, { id: 'b', dependsOn: ['a', 'a'] }], /^step "b" depends on "a" twice$/],
  ];
  for (const [what, steps, message] of refused) {
    it(`refuses ${what}`, () => assert.match(refusal(specOf(steps)), message));
  }
});
