/** A source of pseudo-random numbers that a seed repeats. */
export interface Seeded {
  /** From 0 to just below 1. */
  readonly fraction: () => number;
  /** A whole number from `least` to `most`. */
  readonly whole: (least: number, most: number) => number;
  readonly pick: <T>(choices: readonly T[]) => T;
}

/** The generator mulberry32: 32 bits of state, the same numbers for the same seed everywhere. */
export function createSeeded(seed: number): Seeded {
  let state = seed >>> 0;
  function fraction(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  return {
    fraction,
    whole: (least, most) => least + Math.floor(fraction() * (most - least + 1)),
    pick: (choices) => choices[Math.floor(fraction() * choices.length)]!,
  };
}
