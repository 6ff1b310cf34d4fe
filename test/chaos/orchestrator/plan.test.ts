import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FAULT_KINDS } from './faults.ts';
import { ENDINGS, ORCHESTRATORS, planOrchestrator } from './plan.ts';
import { SHAPES } from './shapes.ts';

const FULL = { workflows: 200, seconds: 110, small: false };
const SMALL = { workflows: 10, seconds: 6, small: true };

describe('the plan of chaos:orchestrator', () => {
  it('follows from the seed alone', () => {
    assert.deepEqual(planOrchestrator({ seed: 1, ...FULL }), planOrchestrator({ seed: 1, ...FULL }));
    assert.notDeepEqual(planOrchestrator({ seed: 1, ...FULL }), planOrchestrator({ seed: 2, ...FULL }));
  });

  it('has every shape, every ending and every kind of fault, also when it is small', () => {
    for (const size of [FULL, SMALL]) {
      for (let seed = 0; seed < 20; seed++) {
        const { orders, faults } = planOrchestrator({ seed, ...size });
        assert.deepEqual(new Set(orders.map(({ shape }) => shape)), new Set(SHAPES));
        assert.deepEqual(new Set(orders.map(({ ending }) => ending)), new Set(ENDINGS));
        assert.deepEqual(new Set(faults.map(({ kind }) => kind)), new Set(FAULT_KINDS));
      }
    }
  });

  it('breaks something every few seconds, and always leaves one orchestrator alone', () => {
    for (let seed = 0; seed < 50; seed++) {
      const { faults } = planOrchestrator({ seed, ...FULL });
      assert.ok(faults.length >= 15, `${faults.length} faults of seed ${seed}`);
      for (const { atMs } of faults) {
        const away = faults.filter((fault) => fault.atMs <= atMs && atMs < fault.atMs + fault.forMs);
        const targets = away
          .filter(({ kind }) => kind.startsWith('orchestrator'))
          .map((fault) => 'target' in fault && fault.target);
        assert.equal(new Set(targets).size, targets.length, `one at a time strikes each, of seed ${seed}`);
        assert.ok(targets.length < ORCHESTRATORS, `all are away at ${atMs} of seed ${seed}`);
      }
    }
  });

  it('has workflows whose steps are what they depend on', () => {
    const { orders } = planOrchestrator({ seed: 3, ...FULL });
    for (const { name, shape, steps, ending } of orders) {
      for (const [index, { dependsOn }] of steps.entries()) {
        const before = new Set(steps.slice(0, index).map(({ id }) => id));
        assert.ok(
          dependsOn.every((id) => before.has(id)),
          `${name}: a ${shape}`,
        );
      }
      const faulty = steps.filter(({ params }) => /"fail/.test(JSON.stringify(params)));
      assert.equal(faulty.length, ending === 'fails' || ending === 'is retried' ? 1 : 0, `${name} ${ending}`);
    }
    assert.ok(orders.some(({ shape, steps }) => shape === 'fan-out' && steps.length === 51));
  });
});
