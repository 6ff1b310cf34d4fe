import type { Cut } from '../../support/tcp-cable.ts';
import type { Seeded } from '../seeded.ts';
import type { Caller } from './plan.ts';

/** What breaks. A `position` chooses among those that there are at that moment, from 0 to just below 1. */
export type Fault = (
  | { readonly kind: 'gateway killed' | 'gateway terminated'; readonly replicas: readonly number[] }
  | { readonly kind: 'orchestrator killed' | 'orchestrator terminated' }
  | { readonly kind: 'connection cut'; readonly cut: Cut; readonly position: number | 'next' }
  | { readonly kind: 'sessions ended'; readonly which: 'one' | 'in a transaction' | 'all'; readonly position: number }
  | { readonly kind: 'key revoked'; readonly caller: number }
) & {
  /** A lock that is held while it breaks, so that submissions are in the middle of their transaction. */
  readonly held: Held | undefined;
};

/**
 * The quota of a caller, which a submission counts; the balance of its principal, which it then debits; or anybody's
 * commit.
 */
export interface Held {
  readonly place: (typeof PLACES)[number];
  readonly caller: number;
}

const PLACES = ['quota', 'balance', 'commit'] as const;

export type FaultKind = Fault['kind'];

/** In a run of 500 operations; others have as many in proportion, and of each kind at least one. */
const COUNTS: Readonly<Record<FaultKind, number>> = {
  'gateway killed': 2,
  'gateway terminated': 2,
  'orchestrator killed': 3,
  'orchestrator terminated': 2,
  'connection cut': 30,
  'sessions ended': 12,
  'key revoked': 1,
};
export const FAULT_KINDS = Object.keys(COUNTS) as FaultKind[];
const REPLICAS = 2;
/** A call and its answer are hardly longer: a cut behind that would wait for the next ones. */
const LATEST_CUT_BYTES = 1_024;

export function planFaults(
  operations: number,
  { revoked, callers }: { readonly revoked: number; readonly callers: readonly Caller[] },
  seeded: Seeded,
): { after: number; fault: Fault }[] {
  // The static token has nothing to hold.
  const holdable = callers.flatMap(({ principal }, index) => (principal === undefined ? [] : [index]));
  const faults = FAULT_KINDS.flatMap((kind) => {
    const count = kind === 'key revoked' ? 1 : Math.max(1, Math.round((COUNTS[kind] * operations) / 500));
    // Spread evenly, each somewhere in its own share of the run, and the revocation in its middle.
    return Array.from({ length: count }, (_, index) => {
      const place = kind === 'key revoked' ? 0.5 : (index + seeded.fraction()) / count;
      const caller = seeded.pick(holdable);
      const held: Held | undefined =
        seeded.fraction() < 0.8 ? { place: seeded.pick([...PLACES, 'commit'] as const), caller } : undefined;
      return { after: Math.floor(place * operations), fault: { ...planFault(kind, revoked, seeded), held } };
    });
  });
  return faults.sort((one, other) => one.after - other.after);
}

function planFault(kind: FaultKind, revoked: number, seeded: Seeded) {
  switch (kind) {
    case 'gateway killed':
    case 'gateway terminated':
      // Every fourth time there is none left.
      return { kind, replicas: seeded.fraction() < 0.25 ? [0, 1] : [seeded.whole(0, REPLICAS - 1)] };
    case 'orchestrator killed':
    case 'orchestrator terminated':
      return { kind };
    case 'connection cut':
      return { kind, cut: planCut(seeded), position: seeded.fraction() < 0.15 ? 'next' : seeded.fraction() } as const;
    case 'sessions ended':
      return { kind, which: seeded.pick(['one', 'in a transaction', 'all'] as const), position: seeded.fraction() };
    case 'key revoked':
      return { kind, caller: revoked };
  }
}

function planCut(seeded: Seeded): Cut {
  // An answer that is lost after everything was done is the harder case.
  const direction = seeded.fraction() < 0.65 ? 'down' : 'up';
  // As many between the first and the thirtieth byte as between the thirtieth and the last.
  const afterBytes = Math.floor(LATEST_CUT_BYTES ** seeded.fraction()) - 1;
  return { direction, afterBytes, how: seeded.pick(['reset', 'end']) };
}
