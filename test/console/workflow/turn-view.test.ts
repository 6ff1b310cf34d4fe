import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { turnView } from '../../../console/src/workflow/turn-view.ts';

type Point = readonly [number, number, number];

/** Where a view's quaternion takes a point: q p q*, by the two cross products. */
function place(view: readonly number[], [px, py, pz]: Point): Point {
  const [x, y, z, w] = view.slice(4, 8) as [number, number, number, number];
  const cross = ([a, b, c]: Point, [d, e, f]: Point): Point => [b * f - c * e, c * d - a * f, a * e - b * d];
  const t = cross([x, y, z], [px, py, pz]).map((part) => 2 * part) as unknown as Point;
  const u = cross([x, y, z], t);
  return [px + w * t[0] + u[0], py + w * t[1] + u[1], pz + w * t[2] + u[2]];
}

function turn(axis: 'x' | 'y', degrees: number, [x, y, z]: Point): Point {
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  return axis === 'x' ? [x, y * cos - z * sin, y * sin + z * cos] : [x * cos + z * sin, y, z * cos - x * sin];
}

const turns = fc.array(fc.tuple(fc.constantFrom('x' as const, 'y' as const), fc.integer({ min: -180, max: 180 })), {
  maxLength: 6,
});

describe('turnView', () => {
  it('turns about the axes of the screen, however the scene was turned before', () => {
    fc.assert(
      fc.property(turns, (list) => {
        const start: Point = [0.3, -0.7, 1.1];
        const view = list.reduce(
          (before, [axis, degrees]) => turnView(before, axis, degrees),
          [1, 2, 3, 4, 0, 0, 0, 1, 5, 6],
        );
        const expected = list.reduce((point, [axis, degrees]) => turn(axis, degrees, point), start);
        for (const [i, value] of place(view, start).entries()) assert.ok(Math.abs(value - expected[i]!) < 1e-9);
        assert.deepEqual([...view.slice(0, 4), ...view.slice(8)], [1, 2, 3, 4, 5, 6]);
      }),
    );
  });
});
