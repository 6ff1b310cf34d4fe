import type { Seeded } from '../seeded.ts';
import { pickWeighted } from './weighted.ts';

export const SHAPES = ['single', 'chain', 'diamond', 'fan-in', 'fan-out'] as const;
export type Shape = (typeof SHAPES)[number];

/** A step as it is submitted. */
export interface PlannedStep {
  readonly id: string;
  readonly tool: string;
  readonly dependsOn: readonly string[];
  readonly params: Readonly<Record<string, unknown>>;
}

/** Shares of all workflows. */
const SHARES: Readonly<Record<Shape, number>> = { single: 28, chain: 32, diamond: 20, 'fan-in': 12, 'fan-out': 8 };
/** What a chain does, over and over. */
const PIPELINE = ['rfdiffusion', 'proteinmpnn', 'af2', 'boltz'];
/** As little work as the mock's tools can be asked for. */
const LEAST_WORK: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  rfdiffusion: { num_designs: 1, diffusion_steps: 4 },
  proteinmpnn: { num_sequences: 1 },
  af2: { num_models: 1, num_recycles: 0 },
  boltz: { diffusion_samples: 1, recycling_steps: 0, sampling_steps: 2 },
};

export function planShape(seeded: Seeded): Shape {
  return pickWeighted(SHARES, seeded);
}

export interface ShapeSize {
  /** How many steps a fan-out has after its first. */
  readonly leaves: number;
  readonly longestSeconds: number;
  /** Of all steps: those that are likely to be still running when something breaks. */
  readonly longShare: number;
}

/** The steps of one workflow. */
export function planSteps(shape: Shape, { leaves, ...size }: ShapeSize, seeded: Seeded): PlannedStep[] {
  const step = (id: string, dependsOn: readonly string[] = [], tool = 'rfdiffusion') =>
    planStep({ id, tool, dependsOn }, size, seeded);
  switch (shape) {
    case 'single':
      return [step('only')];
    case 'chain':
      return Array.from({ length: seeded.whole(3, 6) }, (_, index) =>
        step(`s${index}`, index > 0 ? [`s${index - 1}`] : [], PIPELINE[index % PIPELINE.length]),
      );
    case 'diamond':
      return [step('top'), step('left', ['top']), step('right', ['top']), step('bottom', ['left', 'right'])];
    case 'fan-in': {
      const roots = Array.from({ length: seeded.whole(4, 10) }, (_, index) => step(`root${index}`));
      return [
        ...roots,
        step(
          'all',
          roots.map(({ id }) => id),
          'proteinmpnn',
        ),
      ];
    }
    case 'fan-out':
      return [step('root'), ...Array.from({ length: leaves }, (_, index) => step(`leaf${index}`, ['root']))];
  }
}

function planStep(
  step: Omit<PlannedStep, 'params'>,
  { longestSeconds, longShare }: Omit<ShapeSize, 'leaves'>,
  seeded: Seeded,
): PlannedStep {
  const { tool } = step;
  const [least, most] = seeded.fraction() < longShare ? [longestSeconds * 2, longestSeconds * 10] : [1, 6];
  const seconds = seeded.whole(least, most) / 10;
  // Lengths of their own give different files.
  const length = tool === 'rfdiffusion' ? { contigs: String(seeded.whole(5, 60)) } : {};
  return { ...step, params: { ...LEAST_WORK[tool], ...length, mock: { seconds } } };
}

/** The same step, which fails as the mock is asked to. */
export function withFault(step: PlannedStep, fault: Readonly<Record<string, unknown>>): PlannedStep {
  const { mock, ...params } = step.params;
  return { ...step, params: { ...params, mock: { ...(mock as object), ...fault } } };
}
