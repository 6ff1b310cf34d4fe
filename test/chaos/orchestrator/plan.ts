import { createSeeded, type Seeded } from '../seeded.ts';
import { type Fault, planFaults } from './faults.ts';
import { type PlannedStep, planShape, planSteps, SHAPES, type Shape, type ShapeSize, withFault } from './shapes.ts';
import { pickWeighted } from './weighted.ts';

/** Credits per step. */
export const PRICE = 7;
/** Longer than any run, so that what is counted once stays counted. */
export const WINDOW_SECONDS = 3_600;
export const ORCHESTRATORS = 3;
export const GATEWAYS = 2;

/** One credential, and its only one except for the static token, which has no principal, no quota and no credits. */
export interface Caller {
  readonly name: string;
  readonly principal: string | undefined;
  /** Submissions; 0 means unlimited. */
  readonly limit: number;
}

/** How a workflow is to end, if it is accepted. `is retried`: until it succeeds, as often as it fails. */
export const ENDINGS = ['succeeds', 'fails', 'is retried', 'is cancelled'] as const;
export type Ending = (typeof ENDINGS)[number];
/** Shares of all workflows. */
const ENDING_SHARES: Readonly<Record<Ending, number>> = {
  succeeds: 70,
  fails: 10,
  'is retried': 10,
  'is cancelled': 10,
};

/** One workflow that somebody wants. */
export interface Order {
  /** Is its idempotency key, and a label of it. */
  readonly name: string;
  readonly atMs: number;
  /** Index of a caller. */
  readonly caller: number;
  readonly shape: Shape;
  readonly steps: readonly PlannedStep[];
  readonly ending: Ending;
  /** Is cancelled after so many events. */
  readonly cancelAfter: number;
  /** For what its client makes up itself: gateways and delays. */
  readonly seed: number;
}

export interface Plan {
  readonly callers: readonly Caller[];
  /** Credits by principal, given before the first order. */
  readonly credits: Readonly<Record<string, number>>;
  readonly orders: readonly Order[];
  readonly faults: readonly Fault[];
}

export interface PlanSize {
  readonly seed: number;
  readonly workflows: number;
  /** For how long things break; orders come in the first four fifths of it. */
  readonly seconds: number;
  /** For a run of seconds: smaller fan-outs, shorter steps, pauses and partitions. */
  readonly small: boolean;
}

/** Quota as a share of the orders that are placed with the key; 0 is unlimited. */
const QUOTA_SHARES = { alice: 0, bob: 0.7, carol: 2, dave: 0, token: 0 };
/** Credits as a share of what the orders of the principal cost. */
const CREDIT_SHARES: Readonly<Record<string, number>> = { alice: 3, bob: 2, carol: 3, dave: 0.6 };
const NAMES = Object.keys(QUOTA_SHARES) as (keyof typeof QUOTA_SHARES)[];
const FULL_SHAPES: ShapeSize = { leaves: 50, longestSeconds: 8, longShare: 0.25 };
const SMALL_SHAPES: ShapeSize = { leaves: 12, longestSeconds: 2, longShare: 0.7 };
const SMALL_SCALE = 0.2;

/**
 * The plan of a run. The seed fixes it to the last byte: who wants which workflows and when, how each is to end, what
 * breaks when and for how long. It cannot fix how processes are scheduled: a seed repeats a pattern, not every interleaving.
 */
export function planOrchestrator({ seed, workflows, seconds, small }: PlanSize): Plan {
  const seeded = createSeeded(seed);
  const orders = Array.from({ length: workflows }, (_, index): Order => {
    const atMs = Math.round(((index + seeded.fraction()) / workflows) * 0.8 * seconds * 1_000);
    return { ...planOrder(index, small ? SMALL_SHAPES : FULL_SHAPES, seeded), atMs };
  });
  const callers = NAMES.map((name, index) => {
    const asked = orders.filter(({ caller }) => caller === index).length;
    const principal = name === 'token' ? undefined : name;
    return { name, principal, limit: Math.ceil(QUOTA_SHARES[name] * asked) };
  });
  const credits = Object.entries(CREDIT_SHARES).map(([principal, share]) => {
    const own = orders.filter(({ caller }) => callers[caller]!.principal === principal);
    return [principal, Math.ceil(share * own.reduce((sum, { steps }) => sum + steps.length, 0) * PRICE) + 1] as const;
  });
  const scale = small ? SMALL_SCALE : 1;
  const faults = planFaults({ seconds, orchestrators: ORCHESTRATORS, gateways: GATEWAYS, scale }, seeded);
  return { callers, credits: Object.fromEntries(credits), orders, faults };
}

function planOrder(index: number, size: ShapeSize, seeded: Seeded): Omit<Order, 'atMs'> {
  // The first ones have every shape and every ending.
  const shape = SHAPES[index] ?? planShape(seeded);
  const ending = ENDINGS[index] ?? pickWeighted(ENDING_SHARES, seeded);
  const steps = planSteps(shape, size, seeded);
  return {
    name: `order-${index}`,
    caller: seeded.whole(0, NAMES.length - 1),
    shape,
    steps: withEnding(steps, ending, seeded),
    ending,
    cancelAfter: seeded.whole(1, 8),
    seed: seeded.whole(0, 2 ** 31),
  };
}

function withEnding(steps: readonly PlannedStep[], ending: Ending, seeded: Seeded): PlannedStep[] {
  // Half of the time the first one, so that nothing has succeeded and the credits come back.
  const faulty = seeded.fraction() < 0.5 ? 0 : seeded.whole(0, steps.length - 1);
  const failAttempts = seeded.whole(1, 4);
  if (ending !== 'fails' && ending !== 'is retried') return [...steps];
  const fault = ending === 'fails' ? { fail: true } : { fail_attempts: failAttempts };
  return steps.map((step, index) => (index === faulty ? withFault(step, fault) : step));
}
