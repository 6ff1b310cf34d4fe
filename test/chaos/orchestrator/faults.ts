import type { Seeded } from '../seeded.ts';
import { PARTITIONS, type Partition } from './partition-proxy.ts';
import { pickWeighted } from './weighted.ts';

export const FAULT_KINDS = [
  'orchestrator killed',
  'gateway killed',
  'orchestrator paused',
  'orchestrator partitioned',
  'Postgres killed',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What breaks, and for how long in milliseconds: a process that was killed is started again after that. */
export type Fault = { readonly atMs: number; readonly forMs: number } & (
  | { readonly kind: 'orchestrator killed' | 'gateway killed' | 'orchestrator paused'; readonly target: number }
  | { readonly kind: 'orchestrator partitioned'; readonly target: number; readonly how: Partition }
  | { readonly kind: 'Postgres killed' }
);

/** Shares of all faults. */
const SHARES: Readonly<Record<FaultKind, number>> = {
  'orchestrator killed': 44,
  'gateway killed': 16,
  'orchestrator paused': 12,
  'orchestrator partitioned': 16,
  'Postgres killed': 12,
};
/** Shortest and longest, in milliseconds. */
const DURATIONS: Readonly<Record<FaultKind, readonly [number, number]>> = {
  'orchestrator killed': [500, 8_000],
  'gateway killed': [500, 8_000],
  'orchestrator paused': [5_000, 20_000],
  'orchestrator partitioned': [5_000, 20_000],
  'Postgres killed': [700, 1_500],
};
const FIRST_MS = 1_500;
/** Between the beginnings of two faults. */
const PAUSE_MS = [800, 2_500] as const;
/** How long an orchestrator that was away needs before it can take over from another, and anybody else to be of use again. */
const ORCHESTRATOR_RECOVERY_MS = 9_000;
const RECOVERY_MS = 4_000;
/** Between two kills of Postgres, or a slow machine would do nothing but recover. */
const POSTGRES_REST_MS = 8_000;

export interface FaultsPlan {
  readonly seconds: number;
  readonly orchestrators: number;
  readonly gateways: number;
  /** By which the long durations are multiplied; a short run has no time for them. */
  readonly scale: number;
}

/** Faults in the order of their time; of each kind one at least. Of the orchestrators one is always left alone. */
export function planFaults({ seconds, orchestrators, gateways, scale }: FaultsPlan, seeded: Seeded): Fault[] {
  const orchestratorsBusy = new Array<number>(orchestrators).fill(0);
  const gatewaysBusy = new Array<number>(gateways).fill(0);
  let postgresBusy = 0;
  const missing = shuffle([...FAULT_KINDS], seeded);
  const faults: Fault[] = [];
  for (let atMs = FIRST_MS; atMs < seconds * 1_000 || missing.length > 0; atMs += seeded.whole(...PAUSE_MS)) {
    const kind = missing[0] ?? pickWeighted(SHARES, seeded);
    const forMs = planDuration(kind, scale, seeded);
    const fault = planFault(kind, atMs, forMs);
    if (!fault) continue;
    faults.push(fault);
    if (kind === missing[0]) missing.shift();
  }
  return faults;

  /** Undefined when there is nobody whom it may strike now. */
  function planFault(kind: FaultKind, atMs: number, forMs: number): Fault | undefined {
    const untilMs = atMs + forMs + (kind.startsWith('orchestrator') ? ORCHESTRATOR_RECOVERY_MS * scale : RECOVERY_MS);
    if (kind === 'Postgres killed') {
      if (postgresBusy > atMs) return undefined;
      postgresBusy = untilMs + POSTGRES_REST_MS;
      return { kind, atMs, forMs };
    }
    const busy = kind === 'gateway killed' ? gatewaysBusy : orchestratorsBusy;
    const idle = busy.flatMap((until, index) => (until <= atMs ? [index] : []));
    const target = seeded.pick(idle);
    if (idle.length === 0 || (busy === orchestratorsBusy && idle.length < 2)) return undefined;
    busy[target] = untilMs;
    if (kind !== 'orchestrator partitioned') return { kind, atMs, forMs, target };
    return { kind, atMs, forMs, target, how: seeded.pick(PARTITIONS) };
  }
}

function planDuration(kind: FaultKind, scale: number, seeded: Seeded): number {
  const [shortest, longest] = DURATIONS[kind];
  const isLong = shortest >= 5_000;
  return Math.round(seeded.whole(shortest, longest) * (isLong ? scale : Math.min(1, scale * 2)));
}

function shuffle<T>(items: readonly T[], seeded: Seeded): T[] {
  return items
    .map((item) => ({ item, place: seeded.fraction() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item);
}
