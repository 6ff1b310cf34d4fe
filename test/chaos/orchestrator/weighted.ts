import type { Seeded } from '../seeded.ts';

/** One of the names, each as often as its share says of all of them together. */
export function pickWeighted<Name extends string>(shares: Readonly<Record<Name, number>>, seeded: Seeded): Name {
  const names = Object.keys(shares) as Name[];
  const total = names.reduce((sum, name) => sum + shares[name], 0);
  let place = seeded.fraction() * total;
  for (const name of names) {
    place -= shares[name];
    if (place < 0) return name;
  }
  return names[0]!;
}
