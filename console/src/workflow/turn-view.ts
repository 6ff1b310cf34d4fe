/**
 * A view of 3Dmol's (`getView`) turned about an axis of the screen, by degrees: its members 4 to 7 are the quaternion
 * x, y, z, w of the scene. The library's own turning about these axes goes astray once the scene was turned before.
 */
export function turnView(view: readonly number[], axis: 'x' | 'y', degrees: number): number[] {
  const half = (degrees * Math.PI) / 360;
  const [ax, ay, aw] = axis === 'x' ? [Math.sin(half), 0, Math.cos(half)] : [0, Math.sin(half), Math.cos(half)];
  const [x = 0, y = 0, z = 0, w = 1] = view.slice(4, 8);
  const turned = [
    aw * x + ax * w + ay * z,
    aw * y + ay * w - ax * z,
    aw * z + ax * y - ay * x,
    aw * w - ax * x - ay * y,
  ];
  // Rounding would add up over a long spin.
  const length = Math.hypot(...turned);
  return [...view.slice(0, 4), ...turned.map((part) => part / length), ...view.slice(8)];
}
