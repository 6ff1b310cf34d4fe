import { constants } from 'node:http2';
import { Code } from '@connectrpc/connect';
import type { StreamBreak } from '../support/fake-orchestrator.ts';
import type { Cut } from '../support/tcp-cable.ts';
import { createSeeded, type Seeded } from './seeded.ts';

export type KillKind = 'client' | 'upstream stream' | 'upstream connection' | 'gateway';

/** What dies. A `position` chooses among those that are open at that moment, from 0 to just below 1. */
export type Kill =
  | { readonly kind: 'client' | 'upstream connection'; readonly cut: Cut; readonly position: number | 'next' }
  | { readonly kind: 'upstream stream'; readonly how: StreamBreak; readonly position: number }
  | { readonly kind: 'gateway'; readonly replicas: readonly number[]; readonly signal: 'SIGKILL' | 'SIGTERM' };

export interface Plan {
  /** Each kill with the event after which it happens, in that order. */
  readonly kills: readonly { readonly after: number; readonly kill: Kill }[];
  /** For each client, the event after which it connects for the first time. */
  readonly joins: readonly number[];
  /** How many events are made at a time, over and over until there are enough. */
  readonly bursts: readonly number[];
}

/** Kills in 10,000 events; a shorter run has as many in proportion, and of each kind at least `LEAST`. */
const KILLS: Readonly<Record<KillKind, number>> = {
  client: 260,
  'upstream stream': 70,
  'upstream connection': 44,
  gateway: 6,
};
const LEAST = 3;
const REPLICAS = 2;
/** No cut is laid past so many bytes, or few would be reached: upwards there is little more than a request. */
const LATEST_CUT_BYTES: Readonly<Record<Cut['direction'], number>> = { up: 256, down: 16_384 };

/** What a server or a proxy says of a stream that may be opened again. */
const ERRORS = [Code.Unavailable, Code.Internal, Code.Aborted, Code.ResourceExhausted];
const RESETS = [constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_CANCEL, constants.NGHTTP2_REFUSED_STREAM];

/**
 * The plan of a run. The seed fixes it to the last byte: what is killed after which event and how, when each client
 * joins, how the events come in bursts. It cannot fix how processes and sockets are scheduled: which connection is the
 * oldest by then, or what a client had read when its own died. So a seed repeats a pattern, not every interleaving.
 */
export function planChaos({ seed, events, clients }: { seed: number; events: number; clients: number }): Plan {
  const seeded = createSeeded(seed);
  const kills = (Object.keys(KILLS) as KillKind[]).flatMap((kind) => {
    const count = Math.max(LEAST, Math.round((KILLS[kind] * events) / 10_000));
    // Spread evenly, each somewhere in its own share of the run.
    return Array.from({ length: count }, (_, index) => ({
      after: Math.floor(((index + seeded.fraction()) / count) * events),
      kill: planKill(kind, index, seeded),
    }));
  });
  return {
    kills: kills.sort((one, other) => one.after - other.after),
    joins: Array.from({ length: clients }, () => (seeded.fraction() < 0.5 ? 0 : seeded.whole(0, events >> 1))),
    bursts: Array.from({ length: 256 }, () => seeded.whole(1, 20)),
  };
}

function planKill(kind: KillKind, index: number, seeded: Seeded): Kill {
  if (kind === 'upstream stream') return { kind, how: planBreak(seeded), position: seeded.fraction() };
  if (kind === 'gateway') {
    const replica = seeded.whole(0, REPLICAS - 1);
    const signal = index % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
    // Every fourth time all of them die at once, and nobody answers for as long as a start takes.
    return { kind, signal, replicas: index % 4 === 2 ? [0, 1] : [replica] };
  }
  const cut = planCut(seeded);
  const position = cut.direction === 'up' || seeded.fraction() < 0.15 ? 'next' : seeded.fraction();
  return { kind, cut, position };
}

function planBreak(seeded: Seeded): StreamBreak {
  return seeded.pick<StreamBreak>(['end', { error: seeded.pick(ERRORS) }, { reset: seeded.pick(RESETS) }]);
}

function planCut(seeded: Seeded): Cut {
  const direction = seeded.fraction() < 0.85 ? 'down' : 'up';
  return {
    direction,
    // As many deaths between the first and the hundredth byte as between the hundredth and the ten-thousandth.
    afterBytes: Math.floor(LATEST_CUT_BYTES[direction] ** seeded.fraction()) - 1,
    how: seeded.pick(['reset', 'end']),
  };
}
