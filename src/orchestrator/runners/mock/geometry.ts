/** Å. */
export type Point = readonly [x: number, y: number, z: number];

const subtract = (a: Point, b: Point): Point => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const add = (a: Point, b: Point): Point => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];

export function distance(a: Point, b: Point): number {
  const [x, y, z] = subtract(a, b);
  // Math.hypot is several times slower, and this is called millions of times.
  return Math.sqrt(x * x + y * y + z * z);
}

function cross(a: Point, b: Point): Point {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function normalize(a: Point): Point {
  const length = Math.hypot(...a);
  return [a[0] / length, a[1] / length, a[2] / length];
}

/** Length in Å; angles in degrees. */
export interface InternalCoordinates {
  /** From c to the new point. */
  readonly length: number;
  /** Between b, c and the new point. */
  readonly angle: number;
  /** Of the new point about the axis from b to c, seen from a. */
  readonly dihedral: number;
}

/** The point that `internal` describes after a, b and c (the natural extension reference frame of Parsons et al., 2005). */
export function place(a: Point, b: Point, c: Point, { length, angle, dihedral }: InternalCoordinates): Point {
  const axis = normalize(subtract(c, b));
  const normal = normalize(cross(subtract(b, a), axis));
  const side = cross(normal, axis);
  const theta = (angle * Math.PI) / 180;
  const phi = (dihedral * Math.PI) / 180;
  const along = -length * Math.cos(theta);
  const across = length * Math.sin(theta) * Math.cos(phi);
  const up = length * Math.sin(theta) * Math.sin(phi);
  return [
    c[0] + along * axis[0] + across * side[0] + up * normal[0],
    c[1] + along * axis[1] + across * side[1] + up * normal[1],
    c[2] + along * axis[2] + across * side[2] + up * normal[2],
  ];
}

export function centroid(points: readonly Point[]): Point {
  const sum = points.reduce(add, [0, 0, 0]);
  return [sum[0] / points.length, sum[1] / points.length, sum[2] / points.length];
}
