import { LRUCache } from 'lru-cache';
import type { Principal } from '../context.ts';
import { GatewayError } from '../errors.ts';

const MAX_PRINCIPALS = 10_000;
/** Who has asked for something within this time shares the limit with the others, in milliseconds. */
const ACTIVE_MS = 1_000;
/** What of the limit one principal may take while it is alone: so the next one finds room. */
const LARGEST_SHARE = 0.8;
/** Requests that everybody may have worked on, however many share the limit. */
export const LEAST_SHARE = 4;
/** Seconds for which a principal that has not asked for anything has saved up requests. */
const BURST_SECONDS = 2;

interface PrincipalsParts {
  /** Requests that one may have open. */
  readonly maxInFlight: number;
  /** Requests that one may make in a second; 0: any number. */
  readonly perSecond: number;
  /** Milliseconds. */
  readonly now: () => number;
}

export type Principals = ReturnType<typeof createPrincipals>;

/** What each principal has under way, so that a flood of one leaves room for the others. */
export function createPrincipals({ maxInFlight, perSecond, now }: PrincipalsParts) {
  const known = new LRUCache<string, Principal>({ max: MAX_PRINCIPALS });
  let active = new Set<string>();
  let activeBefore = new Set<string>();
  let turnedAtMs = now();
  const burst = perSecond * BURST_SECONDS;
  // Made once: an error knows where it was made, and to find that out costs more than all else of a refusal.
  const tooFast = rateLimited(perSecond);
  const tooMany = new GatewayError(
    'TOO_MANY_REQUESTS',
    `${maxInFlight} requests are under way already; wait for one first`,
    { isRefusal: true },
  );

  function seen(name: string, nowMs: number): void {
    const sinceMs = nowMs - turnedAtMs;
    if (sinceMs >= ACTIVE_MS) {
      activeBefore = sinceMs < 2 * ACTIVE_MS ? active : new Set();
      active = new Set();
      turnedAtMs = nowMs;
    }
    active.add(name);
  }

  function find(name: string, nowMs: number): Principal {
    const found = known.get(name);
    if (found) return found;
    const principal = { working: 0, open: 0, tokens: burst, countedAtMs: nowMs };
    known.set(name, principal);
    return principal;
  }

  return {
    /** Counts a request. Answers with RATE_LIMITED or TOO_MANY_REQUESTS when it is one too many. */
    enter(name: string): Principal | GatewayError {
      const nowMs = now();
      seen(name, nowMs);
      const principal = find(name, nowMs);
      if (perSecond > 0) {
        const earned = ((nowMs - principal.countedAtMs) / 1000) * perSecond;
        principal.tokens = Math.min(burst, principal.tokens + earned);
        principal.countedAtMs = nowMs;
        if (principal.tokens < 1) return tooFast;
        principal.tokens--;
      }
      if (principal.open >= maxInFlight) return tooMany;
      return principal;
    },

    /** How many of `limit` requests one principal may have worked on: as many as each of those who are here. */
    share(limit: number): number {
      const names = Math.max(active.size, activeBefore.size, 1);
      return Math.max(LEAST_SHARE, Math.min(limit * LARGEST_SHARE, limit / names));
    },
  };
}

/** Says it in the fields of draft-ietf-httpapi-ratelimit-headers-10, too. A token comes back in less than a second. */
function rateLimited(perSecond: number): GatewayError {
  return new GatewayError('RATE_LIMITED', `more than ${perSecond} requests a second`, {
    isRefusal: true,
    headers: { 'RateLimit-Policy': `"requests";q=${perSecond};w=1`, RateLimit: '"requests";r=0;t=1' },
  });
}
