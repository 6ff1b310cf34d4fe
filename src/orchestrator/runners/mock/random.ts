import { createHash } from 'node:crypto';

/** Repeatable pseudo-randomness: the same seed gives the same numbers on every machine. */
export interface Random {
  /** In [0, 1). */
  readonly fraction: () => number;
  /** In [min, max). */
  readonly between: (min: number, max: number) => number;
  /** Whole, in [min, max]. */
  readonly whole: (min: number, max: number) => number;
  /** Roughly normal, with mean 0 and deviation 1; never beyond ±3.5. */
  readonly bell: () => number;
  readonly pick: <T>(choices: readonly T[]) => T;
}

export function createRandom(seed: string): Random {
  const fraction = createSfc32(seed);
  const between = (min: number, max: number) => min + (max - min) * fraction();
  const whole = (min: number, max: number) => min + Math.floor(fraction() * (max - min + 1));
  // The sum of four uniform numbers, scaled to deviation 1.
  const bell = () => (fraction() + fraction() + fraction() + fraction() - 2) * Math.sqrt(3);
  const pick = <T>(choices: readonly T[]) => choices[whole(0, choices.length - 1)]!;
  return { fraction, between, whole, bell, pick };
}

/** The generator sfc32 (C. Doty-Humphrey, PractRand), seeded with a digest so that near seeds are not alike. */
function createSfc32(seed: string): () => number {
  const digest = createHash('sha256').update(seed).digest();
  let a = digest.readInt32LE(0);
  let b = digest.readInt32LE(4);
  let c = digest.readInt32LE(8);
  let counter = digest.readInt32LE(12);
  return () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
}
