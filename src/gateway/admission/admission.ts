import type { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Facts, Middleware, Principal } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { createConcurrencyLimit } from './concurrency-limit.ts';
import { createPrincipals, LEAST_SHARE } from './principals.ts';

const WINDOW_MS = 100;
/** Up to so many limits everybody gets the little that is its own, whoever else has come in what numbers. */
const LIMITS_FOR_LITTLE = 2;
/** How long the answer to who comes too fast is held back, in milliseconds, and of how many at once. */
const HOLD_MS = 100;
const MAX_HELD = 1_000;

// Made once: an error knows where it was made, and to find that out costs more than all else of a refusal.
/** Which one is left to chance, so that those who were refused together do not come back together. */
const OVERLOADED = [1, 2, 3].map(
  (retryAfterSeconds) =>
    new GatewayError('OVERLOADED', 'too many requests are worked on', { retryAfterSeconds, isRefusal: true }),
);
const SHARE_USED = new GatewayError('TOO_MANY_REQUESTS', 'the gateway is busy, and your share of it is used', {
  isRefusal: true,
});

/**
 * What may be refused when there is too much to do, and at which share of the limit: first what its client may repeat without
 * care. A browser's EventSource that is refused gives up for good, so one that comes back is let in: its stream was there
 * before, and has caps of its own.
 */
const SHARES = { read: 0.9, write: 1, watch: 1 } as const;
export type Urgency = keyof typeof SHARES | 'exempt';

interface AdmissionParts {
  /** The least and the most requests that are worked on at once. */
  readonly min: number;
  readonly max: number;
  readonly principalMax: number;
  /** 0: any number. */
  readonly principalPerSecond: number;
  readonly metrics: Pick<Metrics, 'admission' | 'refusals'>;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** Work that has begun. */
interface Started {
  readonly operation: string;
  readonly atMs: number;
}

export type Admission = ReturnType<typeof createAdmission>;

/**
 * Decides which requests are worked on: as many as an adaptive limit allows, and of each principal no more than its share.
 * Who is refused for the load is refused at once. `enter` stands before the body is read, and `begin` after it: a slow body
 * takes no room.
 */
export function createAdmission(parts: AdmissionParts) {
  const { min, max, principalMax, principalPerSecond, metrics, now = () => performance.now() } = parts;
  const limit = createConcurrencyLimit(min, max);
  const principals = createPrincipals({ maxInFlight: principalMax, perSecond: principalPerSecond, now });
  /** The oldest first. */
  const working = new Set<Started>();
  /** Who has no name has no caps either, but the little that everybody has: it is for the operator, under any load. */
  const nameless: Principal = { working: 0, open: 0, tokens: 0, countedAtMs: 0 };
  let peak = 0;
  let held = 0;

  let endsAtMs = now() + WINDOW_MS;

  const timer = setInterval(() => {
    const nowMs = now();
    const [first] = working;
    const oldest = first && { operation: first.operation, ageMs: nowMs - first.atMs };
    limit.adapt({ peakInFlight: Math.max(peak, working.size), lagMs: nowMs - endsAtMs, oldest });
    peak = working.size;
    endsAtMs = nowMs + WINDOW_MS;
  }, WINDOW_MS).unref();
  metrics.admission.working = () => working.size;
  metrics.admission.limit = () => limit.current();

  function refuse(reason: string, error: GatewayError): never {
    metrics.refusals.inc({ reason });
    throw error;
  }

  function checkRoom(urgency: Urgency, principal: Principal): void {
    if (urgency === 'exempt') return;
    const current = limit.current();
    const hasLittle = principal.working < LEAST_SHARE;
    if (working.size >= (hasLittle ? LIMITS_FOR_LITTLE : 1) * current * SHARES[urgency]) {
      refuse('overload', OVERLOADED[Math.floor(Math.random() * OVERLOADED.length)]!);
    }
    // Nobody is in anybody's way while there is plenty of room.
    if (principal === nameless || hasLittle || working.size < current / 2) return;
    if (principal.working >= principals.share(current)) refuse('share', SHARE_USED);
  }

  /** Who comes too fast gets its answer later: most send the next request after it, and each costs as much as a good one. */
  async function hold(error: GatewayError): Promise<never> {
    held++;
    await sleep(HOLD_MS);
    held--;
    return refuse('rate', error);
  }

  function begin(facts: Facts, operation: string): void {
    const started: Started = { operation, atMs: now() };
    const { principal = nameless } = facts;
    working.add(started);
    peak = Math.max(peak, working.size);
    principal.working++;

    facts.endWork = (outcome) => {
      if (!working.delete(started)) return;
      principal.working--;
      // From here on the caps on streams count it.
      if (facts.streaming || facts.waiting) facts.leave?.();
      if (outcome === 'waits') return;
      if (outcome === undefined || outcome.code === 'DEADLINE_EXCEEDED') {
        limit.observe(operation, now() - started.atMs, principal);
      } else if (outcome.code === 'OVERLOADED' && outcome.cause !== undefined) limit.drop();
    };
  }

  return {
    /** The two stations of an operation. They throw OVERLOADED, TOO_MANY_REQUESTS or RATE_LIMITED. */
    stations(operation: string, urgency: Urgency): { readonly enter: Middleware; readonly begin: Middleware } {
      return {
        enter({ env: { facts, incoming, outgoing } }) {
          // While its key was looked up: nobody would say when what is counted is over.
          if (outgoing.destroyed) throw new GatewayError('CLIENT_CLOSED_REQUEST', 'the client went away');
          const name = facts.caller?.principal;
          const principal = name === undefined ? undefined : principals.enter(name);
          if (principal instanceof GatewayError) {
            if (principal.code !== 'RATE_LIMITED') return refuse('concurrency', principal);
            return held < MAX_HELD ? hold(principal) : refuse('rate', principal);
          }
          const resumes = urgency === 'watch' && incoming.headers['last-event-id'] !== undefined;
          if (!resumes) checkRoom(urgency, principal ?? nameless);
          if (!principal) return;
          facts.principal = principal;
          facts.leave = openFor(principal, outgoing);
        },

        begin({ env: { facts } }) {
          if (urgency === 'exempt') return;
          // Since it was let in there was a body to wait for.
          if (urgency === 'write') checkRoom(urgency, facts.principal ?? nameless);
          begin(facts, operation);
        },
      };
    },

    close(): void {
      clearInterval(timer);
    },
  };
}

/** Until its answer is taken or it is left, the principal has it open: an answer that nobody takes holds memory. */
function openFor(principal: Principal, outgoing: EventEmitter): () => void {
  let isOpen = true;
  const leave = () => {
    if (!isOpen) return;
    isOpen = false;
    principal.open--;
    outgoing.off('close', leave);
  };
  principal.open++;
  outgoing.on('close', leave);
  return leave;
}
