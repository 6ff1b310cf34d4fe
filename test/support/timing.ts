import { randomInt } from 'node:crypto';

/** What is timed: `run` on a fresh copy of `input`, so that no case has a place in memory of its own. */
export interface TimedCase {
  readonly name: string;
  readonly run: (input: string) => unknown;
  readonly input: string;
}

const WARM_UP_ROUNDS = 30;
const ROUNDS = 200;
/** Runs that are timed together: the clock is coarse. */
const RUNS = 4;
/** Noise alone has to look like a difference this often, one time after the other. */
const MEASUREMENTS = 3;

/** Both must be reached: how often one case takes longer than the other, and by how much. */
const LEAST_DELTA = 0.5;
const LEAST_DIFFERENCE = 0.1;

/**
 * The names of the cases that take another time than the first one. A case counts when in each of several measurements
 * its times lie almost all on one side of those of the first (Cliff's delta), and its median is at least a tenth off. These
 * are bounds on the size of the effect, which more noise makes smaller, not on its significance.
 */
export function findSlowOrFast(cases: readonly TimedCase[]): string[] {
  let suspects = cases.slice(1);
  for (let count = 0; count < MEASUREMENTS && suspects.length > 0; count++) {
    const times = measure([cases[0]!, ...suspects]);
    suspects = suspects.filter((_suspect, index) => differ(times[index + 1]!, times[0]!));
  }
  return suspects.map(({ name }) => name);
}

/** Times in nanoseconds of each case, all of them in each round, in random order: what disturbs one disturbs all. */
function measure(cases: readonly TimedCase[]): number[][] {
  const times: number[][] = cases.map(() => []);
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const index of shuffled(cases.length)) {
      const { run, input } = cases[index]!;
      const copy = Buffer.from(input).toString('latin1');
      const startedAt = process.hrtime.bigint();
      for (let count = 0; count < RUNS; count++) run(copy);
      const time = Number(process.hrtime.bigint() - startedAt);
      if (round >= 0) times[index]!.push(time);
    }
  }
  return times;
}

function differ(some: readonly number[], others: readonly number[]): boolean {
  const difference = median(some) / median(others) - 1;
  return Math.abs(difference) >= LEAST_DIFFERENCE && Math.abs(cliffsDelta(some, others)) >= LEAST_DELTA;
}

/** From -1, when each of `some` is less than each of `others`, to 1. */
function cliffsDelta(some: readonly number[], others: readonly number[]): number {
  let sum = 0;
  for (const one of some) for (const other of others) sum += Math.sign(one - other);
  return sum / (some.length * others.length);
}

function median(times: readonly number[]): number {
  return times.toSorted((one, other) => one - other)[Math.floor(times.length / 2)]!;
}

function shuffled(length: number): number[] {
  const order = Array.from({ length }, (_value, index) => index);
  for (let index = length - 1; index > 0; index--) {
    const other = randomInt(index + 1);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}
