import { LRUCache } from 'lru-cache';
import { GatewayError } from '../errors.ts';
import { networkOf } from '../wire/client-address.ts';

const MINUTE_MS = 60_000;
/** What is kept of strangers stays small: beyond this the network that was refused longest ago begins anew. */
const MAX_NETWORKS = 10_000;

interface Budget {
  readonly left: number;
  /** When so much was left, in milliseconds of `now`. */
  readonly atMs: number;
}

export type RefusedCredentials = ReturnType<typeof createRefusedCredentials>;

/**
 * How many credentials of a client's network (an IPv4 address, or an IPv6 /64) may still be refused: a token bucket that
 * holds `perMinute`, and gets as many back in a minute. 0: any number.
 */
export function createRefusedCredentials(perMinute: number, now: () => number = () => performance.now()) {
  // After a minute without a refusal a bucket is full again, so nothing need be kept of it.
  const budgets = new LRUCache<string, Budget>({ max: MAX_NETWORKS, ttl: MINUTE_MS, ttlResolution: 0 });
  /** Credentials that are being looked up, by network; and for how many requests each. */
  const lookedUp = new Map<string, Map<string, number>>();

  function leftOf(network: string): number {
    const budget = budgets.get(network);
    if (!budget) return perMinute;
    return Math.min(perMinute, budget.left + ((now() - budget.atMs) * perMinute) / MINUTE_MS);
  }

  return {
    /** Throws RATE_LIMITED while this address's network has nothing left for one more, if all that are looked up were refused. */
    admit(address: string): void {
      if (perMinute === 0) return;
      const network = networkOf(address);
      const left = leftOf(network);
      if (left - (lookedUp.get(network)?.size ?? 0) >= 1) return;
      throw new GatewayError('RATE_LIMITED', 'too many credentials from your network were refused', {
        retryAfterSeconds: (Math.max(0, 1 - left) * MINUTE_MS) / perMinute / 1000,
        isRefusal: true,
      });
    },

    /** A credential of this address is being looked up until what is returned is called: it may be refused. */
    hold(address: string, credential: string): () => void {
      const network = networkOf(address);
      const held = lookedUp.get(network) ?? new Map<string, number>();
      lookedUp.set(network, held.set(credential, (held.get(credential) ?? 0) + 1));
      return () => {
        const left = held.get(credential)! - 1;
        if (left > 0) held.set(credential, left);
        else held.delete(credential);
        if (held.size === 0) lookedUp.delete(network);
      };
    },

    /** Takes one from the network of this IP address. */
    count(address: string): void {
      if (perMinute === 0) return;
      const network = networkOf(address);
      budgets.set(network, { left: Math.max(0, leftOf(network) - 1), atMs: now() });
    },
  };
}
