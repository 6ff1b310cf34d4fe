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
/** How long a key that was good is not taken for a stranger's, after it has been forgotten. */
const RECENT_MS = 3_600_000;
/** Strangers that may wait for each lookup of another, and how long: it takes some milliseconds as long as all is well. */
const WAITING_PER_LOOKUP = 8;
const LONGEST_WAIT_MS = 1_000;
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
  /** Lookups, at the same time, of keys that nothing good is known of. */
  readonly maxLookups: number;
}

/**
 * Resolves API keys through the orchestrator. Good answers are kept for the TTL, but never longer than the key is good;
 * bad ones for 5 s in a small cache of their own, so that junk never pushes a good key out. Any number of concurrent
 * misses of one key is one call. Keys that nothing good is known of share a bounded number of lookups, so that a flood of them
 * takes nothing from the others.
 */
export function createApiKeys({ orchestrator, metrics, ttlMs, maxEntries, lookupTimeoutMs, maxLookups }: ApiKeyParts) {
  // Without a resolution each look reads the clock; with one, each millisecond would cost a timer.
  const callers = new LRUCache<string, Caller>({ max: maxEntries, ttl: ttlMs, ttlResolution: 0 });
  const refusals = new LRUCache<string, GatewayError>({
    max: NEGATIVE_MAX_ENTRIES,
    ttl: NEGATIVE_TTL_MS,
    ttlResolution: 0,
  });
  const recent = new LRUCache<string, true>({ max: maxEntries, ttl: ttlMs + RECENT_MS, ttlResolution: 0 });
  const pending = new Map<string, Promise<Caller>>();
  let strangers = 0;
  /** Who waits for a place among them, the first first. */
  const waiting = new Set<() => void>();
  const hits = metrics.keyLookups.labels('hit');

  async function lookUp(keyHash: string, metadata: Call['metadata']): Promise<Caller> {
    // Its own deadline and no client's signal: others wait for the same answer.
    const call = { signal: NEVER, timeLeftMs: startDeadline(lookupTimeoutMs), metadata };
    const answer = await orchestrator.authenticateApiKey({ keyHash }, call).catch(nobodyKnows);
    const { principal, keyId, readOnly } = answer;
    if (!answer.allowed) {
      const refusal = refused(answer.denyReason);
      refusals.set(keyHash, refusal);
      recent.delete(keyHash);
      throw refusal;
    }
    // It travels as metadata, where spaces around it are cut; and none at all means every tenant's data.
    if (!PRINCIPAL.test(principal)) throw new GatewayError('INTERNAL', 'a key has a principal that cannot be sent');
    const quota = quotaFromProto(answer.quota);
    const caller = { principal, keyHash, readOnly, ...(keyId !== '' && { keyId }), ...(quota && { quota }) };
    const leftMs = (milliseconds(answer.expiresAt) ?? Number.POSITIVE_INFINITY) - Date.now();
    if (leftMs > 0) callers.set(keyHash, caller, { ttl: Math.min(ttlMs, leftMs) });
    recent.set(keyHash, true);
    return caller;
  }

  function remembered(keyHash: string): Caller | undefined {
    const caller = callers.get(keyHash);
    if (caller) hits.inc();
    return caller;
  }

  function throwIfRefused(keyHash: string): void {
    const refusal = refusals.get(keyHash);
    if (!refusal) return;
    metrics.keyLookups.inc({ result: 'negative' });
    throw refusal;
  }

  /** One lookup of a key at a time; it begins once there is a `place` for it. */
  function ask(keyHash: string, metadata: Call['metadata'], place?: Promise<void>): Promise<Caller> {
    const known = pending.get(keyHash);
    if (known) {
      metrics.keyLookups.inc({ result: 'shared' });
      return known;
    }
    const begin = () => {
      metrics.keyLookups.inc({ result: 'miss' });
      const lookup = lookUp(keyHash, metadata);
      lookup.catch((error: GatewayError) => {
        if (error.status >= 500) metrics.keyLookups.inc({ result: 'error' });
      });
      return lookup;
    };
    const lookup = place ? place.then(() => begin().finally(givePlace)) : begin();
    const asked = lookup.finally(() => pending.delete(keyHash));
    pending.set(keyHash, asked);
    return asked;
  }

  /** The same within the bounds that strangers have: some more may wait for a moment. Throws OVERLOADED. */
  async function askForStranger(keyHash: string, metadata: Call['metadata']): Promise<Caller> {
    return ask(keyHash, metadata, pending.has(keyHash) ? undefined : takePlace());
  }

  function takePlace(): Promise<void> {
    if (strangers >= maxLookups) return waitForPlace();
    strangers++;
    return Promise.resolve();
  }

  function waitForPlace(): Promise<void> {
    if (waiting.size >= WAITING_PER_LOOKUP * maxLookups) throw tooMany();
    return new Promise((resolve, reject) => {
      const take = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        waiting.delete(take);
        reject(tooMany());
      }, LONGEST_WAIT_MS);
      waiting.add(take);
    });
  }

  function givePlace(): void {
    const [next] = waiting;
    if (!next) {
      strangers--;
      return;
    }
    waiting.delete(next);
    next();
  }

  function tooMany(): GatewayError {
    metrics.keyLookups.inc({ result: 'refused' });
    const message = `${maxLookups} unknown keys are being looked up already`;
    return new GatewayError('OVERLOADED', message, { isRefusal: true });
  }

  return {
    /**
     * Who has a key that somebody else has vouched for: a stream ticket, or a request that it opened. Throws
     * UNAUTHENTICATED, KEY_REVOKED or KEY_EXPIRED for a bad key, and UNAVAILABLE when nobody can say.
     */
    resolveHash(keyHash: string, metadata: Call['metadata'] = {}): Caller | Promise<Caller> {
      const caller = remembered(keyHash);
      if (caller) return caller;
      throwIfRefused(keyHash);
      return ask(keyHash, metadata);
    },

    /** The same for a key that is good, or was an hour ago; undefined for any other. */
    resolveKnown(keyHash: string, metadata: Call['metadata']): Caller | Promise<Caller> | undefined {
      const caller = remembered(keyHash);
      if (caller) return caller;
      return recent.has(keyHash) ? ask(keyHash, metadata) : undefined;
    },

    /**
     * The same for any other, as it was presented: one that we cannot have made is refused without a lookup. Throws
     * OVERLOADED while there are too many lookups.
     */
    resolve(token: string, keyHash: string, metadata: Call['metadata']): Promise<Caller> {
      throwIfRefused(keyHash);
      if (tokenChecksum(token, KEY_PREFIX) === 'invalid') {
        metrics.keyLookups.inc({ result: 'checksum' });
        throw refused('');
      }
      return askForStranger(keyHash, metadata);
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
      recent.delete(keyHash);
    },
  };
}

/** Whatever the orchestrator says of the lookup itself is no business of a stranger's. */
function nobodyKnows(error: GatewayError): never {
  if (error.status === 503 || error.status === 504) throw error;
  throw new GatewayError('INTERNAL', `the key could not be looked up: ${error.message}`, { cause: error });
}
