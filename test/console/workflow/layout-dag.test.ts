import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DAG_SIZES, type DagLayout, type DagStep, layoutDag } from '../../../console/src/workflow/layout-dag.ts';
import { countCrossings } from '../../../console/src/workflow/order-layers.ts';
import { walkDag } from '../../../console/src/workflow/walk-dag.ts';

/** Any graph without a cycle, its steps in any order, with dependencies that are named twice or do not exist. */
const graphs: fc.Arbitrary<DagStep[]> = fc
  .array(fc.array(fc.nat(40), { maxLength: 4 }), { minLength: 1, maxLength: 24 })
  .chain((before) => {
    const steps = before.map((list, index) => ({
      id: `s${index}`,
      depends_on: list.map((other) =>
        other < index ? `s${other}` : other === 40 ? 'nobody' : `s${Math.max(0, index - 1)}`,
      ),
    }));
    const acyclic = steps.map((step, index) => ({ ...step, depends_on: index === 0 ? [] : step.depends_on }));
    return fc.shuffledSubarray(acyclic, { minLength: acyclic.length });
  });

function at({ steps }: DagLayout, id: string) {
  return steps.find((step) => step.id === id)!;
}

function assertSound(steps: readonly DagStep[], layout: DagLayout): void {
  const { stepWidth, stepHeight, margin } = DAG_SIZES;
  assert.deepEqual(layout.steps.map(({ id }) => id).sort(), steps.map(({ id }) => id).sort());
  for (const { id, depends_on } of steps) {
    for (const other of depends_on) {
      if (other === 'nobody') continue;
      assert.ok(at(layout, other).layer < at(layout, id).layer, `${other} is drawn before ${id}`);
    }
  }
  for (const [index, { x, y }] of layout.steps.entries()) {
    assert.ok(
      x >= margin && y >= margin && x + stepWidth + margin <= layout.width && y + stepHeight + margin <= layout.height,
    );
    for (const other of layout.steps.slice(index + 1)) {
      const apart = Math.abs(other.x - x) >= stepWidth || Math.abs(other.y - y) >= stepHeight;
      assert.ok(apart, 'no two steps overlap');
    }
  }
  for (const { from, to, points } of layout.edges) {
    const [source, target] = [at(layout, from), at(layout, to)];
    assert.deepEqual(points[0], [source.x + stepWidth, source.y + stepHeight / 2]);
    assert.deepEqual(points.at(-1), [target.x, target.y + stepHeight / 2]);
    for (const [i, [x, y]] of points.slice(1).entries()) {
      assert.ok(x > points[i]![0], 'a line goes forward');
      assert.ok(y >= 0 && y <= layout.height, 'a line stays inside');
    }
  }
}

/** No line passes behind a step: a level stretch has the lane for itself. */
function assertFreeLanes({ steps, edges }: DagLayout): void {
  for (const { points } of edges) {
    for (const [x, y] of points.slice(1, -1)) {
      for (const step of steps) {
        const inside = x > step.x && x < step.x + DAG_SIZES.stepWidth;
        assert.ok(!(inside && y > step.y && y < step.y + DAG_SIZES.stepHeight));
      }
    }
  }
}

describe('layoutDag', () => {
  it('draws every graph forward, without an overlap, and the same each time', () => {
    fc.assert(
      fc.property(graphs, (steps) => {
        const layout = layoutDag(steps);
        assertSound(steps, layout);
        assertFreeLanes(layout);
        const drawn = new Set(
          steps.flatMap(({ id, depends_on }) =>
            depends_on.filter((other) => other !== 'nobody').map((other) => `${other} ${id}`),
          ),
        );
        assert.deepEqual(layout.edges.map(({ from, to }) => `${from} ${to}`).sort(), [...drawn].sort());
        assert.deepEqual(layoutDag(structuredClone(steps)), layout);
      }),
    );
  });

  it('draws one step, and none', () => {
    assert.deepEqual(layoutDag([{ id: 'a', depends_on: [] }]).steps, [{ id: 'a', layer: 0, x: 10, y: 10 }]);
    assert.deepEqual(layoutDag([]).steps, []);
  });

  it('takes the crossings out of a graph that can be drawn without', () => {
    const steps = ['a', 'b', 'c', 'd'].map((id) => ({ id, depends_on: [] as string[] }));
    const after = ['d', 'c', 'b', 'a'].map((id) => ({ id: `after-${id}`, depends_on: [id] }));
    const layout = layoutDag([...steps, ...after]);
    for (const id of ['a', 'b', 'c', 'd']) assert.equal(at(layout, id).y, at(layout, `after-${id}`).y);
  });

  const wide = Array.from({ length: 256 }, (_, index) => ({ id: `s${index}`, depends_on: index === 0 ? [] : ['s0'] }));
  const row = Array.from({ length: 256 }, (_, index) => ({
    id: `s${index}`,
    depends_on: index === 0 ? [] : [`s${index - 1}`],
  }));
  const halves = Array.from({ length: 256 }, (_, index) => ({
    id: `s${index}`,
    depends_on: index < 128 ? [] : Array.from({ length: 128 }, (_, other) => `s${other}`),
  }));
  const everything = Array.from({ length: 256 }, (_, index) => ({
    id: `s${index}`,
    depends_on: Array.from({ length: index }, (_, other) => `s${other}`),
  }));
  for (const [name, steps] of Object.entries({ wide, row, halves, everything })) {
    it(`draws 256 steps in a moment: ${name}`, () => {
      const before = process.cpuUsage();
      const layout = layoutDag(steps);
      const { user, system } = process.cpuUsage(before);
      assert.equal(layout.steps.length, 256);
      assert.ok((user + system) / 1_000 < 1_500, `${(user + system) / 1_000} ms`);
    });
  }

  it('leaves out what follows from other dependencies where there are too many to see', () => {
    const layout = layoutDag(everything);
    assert.equal(layout.edges.length, 255);
    assert.equal(layout.hiddenEdges, (256 * 255) / 2 - 255);
    assert.equal(layoutDag(halves).hiddenEdges, 0);
  });
});

describe('countCrossings', () => {
  it('counts like one who looks at every pair of lines', () => {
    const lines = fc.array(fc.tuple(fc.nat(6), fc.nat(6)), { maxLength: 20 });
    fc.assert(
      fc.property(lines, (ends) => {
        const right = Array.from({ length: 7 }, (_, order) => ({ order, after: [] }));
        const left = Array.from({ length: 7 }, (_, order) => ({
          order,
          after: ends.filter(([from]) => from === order).map(([, to]) => right[to]!),
        }));
        const layers = [left, right] as unknown as Parameters<typeof countCrossings>[0];
        let crossings = 0;
        for (const [i, [from, to]] of ends.entries()) {
          for (const [from2, to2] of ends.slice(i + 1)) if ((from - from2) * (to - to2) < 0) crossings++;
        }
        assert.equal(countCrossings(layers), crossings);
      }),
    );
  });
});

describe('walkDag', () => {
  const layout = layoutDag([
    { id: 'a', depends_on: [] },
    { id: 'b', depends_on: ['a'] },
    { id: 'c', depends_on: ['a'] },
    { id: 'd', depends_on: ['b', 'c'] },
  ]);

  it('goes along the lines, and up and down within a layer', () => {
    assert.equal(walkDag(layout, 'b', 'ArrowDown'), 'c');
    assert.equal(walkDag(layout, 'c', 'ArrowUp'), 'b');
    assert.equal(walkDag(layout, 'c', 'ArrowDown'), undefined);
    assert.equal(walkDag(layout, 'b', 'ArrowRight'), 'd');
    assert.equal(walkDag(layout, 'c', 'ArrowLeft'), 'a');
    assert.equal(walkDag(layout, 'a', 'ArrowLeft'), undefined);
    assert.equal(walkDag(layout, 'c', 'Home'), 'a');
    assert.equal(walkDag(layout, 'a', 'End'), 'd');
    assert.equal(walkDag(layout, 'a', 'Enter'), undefined);
  });

  it('reaches every step of every graph from the first one', () => {
    fc.assert(
      fc.property(graphs, (steps) => {
        const drawn = layoutDag(steps);
        const reached = new Set<string>();
        const open = [drawn.steps[0]!.id];
        for (let id = open.pop(); id !== undefined; id = open.pop()) {
          if (reached.has(id)) continue;
          reached.add(id);
          for (const key of ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight']) {
            const next = walkDag(drawn, id, key);
            if (next !== undefined) open.push(next);
          }
        }
        assert.equal(reached.size, steps.length);
      }),
    );
  });
});
