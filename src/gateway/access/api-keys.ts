import { LRUCache } from 'lru-cache';
import { tokenChecksum } from '../../shared/checksummed-token.ts';
import { type Call, type Caller, type Quota, startDeadline } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { quotaFromProto } from '../wire/quota.ts';
import { milliseconds } from '../wire/scalars.ts';
import { refused } from './bearer.ts';

const NEGATIVE_TTL_MS = 5_000;
const NEGATIVE_MAX_ENTRIES = 1_000;
const KEY_PREFIX = 'ffk';
const PRINCIPAL = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const NEVER = new AbortController().signal;

export type ApiKeys = ReturnType<typeof createApiKeys>;

export interface ApiKeyParts {
  readonly orchestrator: Pick<Orchestrator, 'authenticateApiKey'>;
  readonly metrics: Pick<Metrics, 'keyLookups'>;
  readonly ttlMs: number;
  readonly maxEntries: number;
  /** Bound of one lookup, which outlives the request that began it. */
  readonly lookupTimeoutMs: number;
}

/**
 * Resolves API keys through the orchestrator. Good answers are kept for the TTL, but never longer than the key is good;
 * bad ones for 5 s in a small cache of their own, so that junk never pushes a good key out. Any number of concurrent
 * misses of one key is one call.
 */
export function createApiKeys({ orchestrator, metrics, ttlMs, maxEntries, lookupTimeoutMs }: ApiKeyParts) {
  // Without a resolution each look reads the clock; with one, each millisecond would cost a timer.
  const callers = new LRUCache<string, Caller>({ max: maxEntries, ttl: ttlMs, ttlResolution: 0 });
  const refusals = new LRUCache<string, GatewayError>({
    max: NEGATIVE_MAX_ENTRIES,
    ttl: NEGATIVE_TTL_MS,
    ttlResolution: 0,
  });
  const pending = new Map<string, Promise<Caller>>();
  const hits = metrics.keyLookups.labels('hit');

  async function lookUp(keyHash: string, metadata: Call['metadata']): Promise<Caller> {
    // Its own deadline and no client's signal: others wait for the same answer.
    const call = { signal: NEVER, timeLeftMs: startDeadline(lookupTimeoutMs), metadata };
    const answer = await orchestrator.authenticateApiKey({ keyHash }, call).catch(nobodyKnows);
    const { principal, keyId, readOnly } = answer;
    if (!answer.allowed) {
      const refusal = refused(answer.denyReason);
      refusals.set(keyHash, refusal);
      throw refusal;
    }
    // It travels as metadata, where spaces around it are cut; and none at all means every tenant's data.
    if (!PRINCIPAL.test(principal)) throw new GatewayError('INTERNAL', 'a key has a principal that cannot be sent');
    const quota = quotaFromProto(answer.quota);
    const caller = { principal, keyHash, readOnly, ...(keyId !== '' && { keyId }), ...(quota && { quota }) };
    const leftMs = (milliseconds(answer.expiresAt) ?? Number.POSITIVE_INFINITY) - Date.now();
    if (leftMs > 0) callers.set(keyHash, caller, { ttl: Math.min(ttlMs, leftMs) });
    return caller;
  }

  function remembered(keyHash: string): Caller | undefined {
    const caller = callers.get(keyHash);
    if (caller) {
      hits.inc();
      return caller;
    }
    const refusal = refusals.get(keyHash);
    if (!refusal) return undefined;
    metrics.keyLookups.inc({ result: 'negative' });
    throw refusal;
  }

  function ask(keyHash: string, metadata: Call['metadata']): Promise<Caller> {
    let lookup = pending.get(keyHash);
    if (!lookup) {
      metrics.keyLookups.inc({ result: 'miss' });
      lookup = lookUp(keyHash, metadata).finally(() => pending.delete(keyHash));
      lookup.catch((error: GatewayError) => {
        if (error.status >= 500) metrics.keyLookups.inc({ result: 'error' });
      });
      pending.set(keyHash, lookup);
    } else metrics.keyLookups.inc({ result: 'shared' });
    return lookup;
  }

  return {
    /** Throws UNAUTHENTICATED, KEY_REVOKED or KEY_EXPIRED for a bad key, and UNAVAILABLE when nobody can say. */
    resolveHash(keyHash: string, metadata: Call['metadata'] = {}): Caller | Promise<Caller> {
      return remembered(keyHash) ?? ask(keyHash, metadata);
    },

    /** The same for a key as it was presented: one that we cannot have made is refused without a lookup. */
    resolve(token: string, keyHash: string, metadata: Call['metadata']): Caller | Promise<Caller> {
      const caller = remembered(keyHash);
      if (caller) return caller;
      if (tokenChecksum(token, KEY_PREFIX) === 'invalid') {
        metrics.keyLookups.inc({ result: 'checksum' });
        throw refused('');
      }
      return ask(keyHash, metadata);
    },

    /** Remembers, for as long as the key is remembered, how much of its quota is used. */
    learnQuota(keyHash: string, quota: Quota | undefined): void {
      const caller = callers.peek(keyHash);
      if (!caller || !quota) return;
      callers.set(keyHash, { ...caller, quota }, { noUpdateTTL: true });
    },

    /** Forgets a key that the orchestrator has refused after all. */
    forget(keyHash: string): void {
      callers.delete(keyHash);
    },
  };
}

/** Whatever the orchestrator says of the lookup itself is no business of a stranger's. */
function nobodyKnows(error: GatewayError): never {
  if (error.status === 503 || error.status === 504) throw error;
  throw new GatewayError('INTERNAL', `the key could not be looked up: ${error.message}`, { cause: error });
}
