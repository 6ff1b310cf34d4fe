import type { Stage } from './stage.ts';

/** What one round measured: for each program the numbers by name. */
export type Round = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** A number that every round measures. */
export interface Measure {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  /** What the gateway may take at most, in `unit`. */
  readonly limit?: number;
  /** What it may take at most of what each peer takes. */
  readonly ratioLimit?: number;
  /** What it must reach of what each peer reaches. */
  readonly ratioFloor?: number;
  /** The same two for single peers. One that did not run sets no limit. */
  readonly ratioLimits?: Readonly<Record<string, number>>;
  readonly ratioFloors?: Readonly<Record<string, number>>;
}

/** The medians of a measure over all rounds. */
export interface Row extends Measure {
  /** Whose number `gateway` is: there may be several forms of it. */
  readonly program: string;
  readonly gateway: number;
  /** The same of each peer, the median of the gateway's part of it in each round, and the least and the greatest. */
  readonly peers: Readonly<
    Record<string, { readonly value: number; readonly ratio: number; readonly spread: readonly [number, number] }>
  >;
  readonly passed: boolean;
}

/** What was counted once, in several situations, each with what it may be at most. */
export interface Check {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  readonly cells: Readonly<Record<string, { readonly value: number; readonly limit?: number }>>;
  readonly passed: boolean;
}

/** How thoroughly to measure. A quick run only shows that everything works. */
export interface Effort {
  readonly rounds: number;
  readonly quick: boolean;
  /** Without peers, and without what is checked but once: the product is to be compared with another of its commits. */
  readonly alone?: boolean;
}

export type Area = (stage: Stage, effort: Effort) => Promise<AreaReport>;

export interface AreaReport {
  readonly area: string;
  /** What was done, in one line. */
  readonly title: string;
  /** What the rows are about; without it, the gateway. */
  readonly subject?: string;
  readonly workload: Readonly<Record<string, number>>;
  readonly rows: readonly Row[];
  readonly checks?: readonly Check[];
  readonly rounds: readonly Round[];
  /** What a reader should know to believe the numbers, or not to. */
  readonly notes: readonly string[];
}

/**
 * Compares one program with its peers, by default the gateway with all others. Rounds are compared each for itself: what
 * slows the machine for a while slows all programs of that round.
 */
export function summarize(
  rounds: readonly Round[],
  measures: readonly Measure[],
  program = 'gateway',
  peers: readonly string[] = Object.keys(rounds[0] ?? {}).filter((peer) => peer !== program),
): Row[] {
  return measures.map((measure) => {
    const {
      limit = Number.POSITIVE_INFINITY,
      ratioLimit = Number.POSITIVE_INFINITY,
      ratioFloor = Number.NEGATIVE_INFINITY,
    } = measure;
    const { ratioLimits = {}, ratioFloors = {} } = measure;
    const isWithin = ([peer, { ratio }]: readonly [string, { readonly ratio: number }]) =>
      ratio <= (ratioLimits[peer] ?? ratioLimit) && ratio >= (ratioFloors[peer] ?? ratioFloor);
    const read = (name: string) => rounds.map((round) => round[name]![measure.name]!);
    const own = read(program);
    const gateway = median(own);
    const compare = (peer: string) => {
      const values = read(peer);
      const ratios = values.map((value, index) => own[index]! / value);
      const spread = [Math.min(...ratios), Math.max(...ratios)] as const;
      return { value: median(values), ratio: median(ratios), spread };
    };
    const compared = peers.map((peer) => [peer, compare(peer)] as const);
    return {
      ...measure,
      program,
      gateway,
      peers: Object.fromEntries(compared),
      passed: gateway <= limit && compared.every(isWithin),
    };
  });
}

/** A check of `values`, given by situation; `limits` are given for those that have one. */
export function check(
  { name, label, unit }: Pick<Check, 'name' | 'label' | 'unit'>,
  values: Readonly<Record<string, number>>,
  limits: Readonly<Record<string, number>> = {},
): Check {
  const cells = Object.entries(values).map(([key, value]) => {
    const limit = limits[key];
    return [key, { value, ...(limit !== undefined && { limit }) }] as const;
  });
  const passed = cells.every(([, { value, limit }]) => limit === undefined || value <= limit);
  return { name, label, unit, cells: Object.fromEntries(cells), passed };
}

/** For a run that is too short to judge by. */
export function withoutLimits(measures: readonly Measure[]): Measure[] {
  return measures.map(({ limit, ratioLimit, ratioFloor, ratioLimits, ratioFloors, ...measure }) => measure);
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
