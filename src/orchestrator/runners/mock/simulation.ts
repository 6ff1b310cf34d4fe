import type { Params, SequenceRecord, StepOutput } from '../runner.ts';
import type { MadeFile } from '../upload.ts';

/** One run of a tool, planned but not done. */
export interface Simulation {
  /** What the tool prints, in order. */
  readonly messages: readonly string[];
  readonly sequences: readonly SequenceRecord[];
  /** Each makes the files of one result, and takes tens of milliseconds at most. */
  readonly results: readonly (() => readonly MadeFile[])[];
}

/** Plans a run that follows from the arguments alone; equal seeds are given for equal work. Throws StepFailure. */
export type Simulate = (params: Params, inputs: readonly StepOutput[], seed: string) => Simulation;

/** Up to `count` rising whole numbers that end with `total`. */
export function checkpoints(total: number, count: number): number[] {
  const steps = Math.min(total, count);
  return Array.from({ length: steps }, (_, i) => Math.round((total * (i + 1)) / steps));
}

/** `1 chain`, `2 chains`. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
