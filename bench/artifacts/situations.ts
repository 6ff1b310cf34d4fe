import type { Measure, Round } from '../support/report.ts';

const SITUATIONS = ['whole', 'crowd', 'small'] as const;

/** Large files alone, large ones at the same time, and small ones. */
export type Situation = (typeof SITUATIONS)[number];

/** What a number is called that each situation has. */
export function nameOf(situation: Situation, { name }: Pick<Measure, 'name'>): string {
  return `${situation}${name[0]!.toUpperCase()}${name.slice(1)}`;
}

/** One round of what was measured in all situations. */
export function joinSituations(measured: Readonly<Record<Situation, Round>>): Round {
  const programs = new Set(SITUATIONS.flatMap((situation) => Object.keys(measured[situation])));
  const numbersOf = (program: string) =>
    SITUATIONS.flatMap((situation) =>
      Object.entries(measured[situation][program] ?? {}).map(
        ([name, value]) => [nameOf(situation, { name }), value] as const,
      ),
    );
  return Object.fromEntries([...programs].map((program) => [program, Object.fromEntries(numbersOf(program))]));
}
