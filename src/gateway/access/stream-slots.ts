import type { ServerResponse } from 'node:http';
import type { Caller, Lifecycle } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';

/** What a client that found no free slot is told to wait, in seconds: nobody knows when one comes free. */
const RETRY_AFTER_SECONDS = 5;

/** Why a request that is held open is ended from this side. */
export type EndReason =
  | { readonly kind: 'refused'; readonly error: GatewayError }
  /** The shutdown; the process takes no more connections in `closesInMs`. */
  | { readonly kind: 'shutdown'; readonly closesInMs: number };

export interface StreamSlot {
  /** Sets what ends the request. It is called at most once; at once, when its time has come already. */
  readonly onEnd: (end: (reason: EndReason) => void) => void;
}

interface Parts {
  readonly lifecycle: Lifecycle;
  readonly keyWatch: { watch(caller: Caller, onRefused: (error: GatewayError) => void): () => void };
  readonly maxPerPrincipal: number;
  readonly maxPerProcess: number;
  readonly metrics: Pick<Metrics, 'streamRefusals' | 'open'>;
}

interface Held {
  end: ((reason: EndReason) => void) | undefined;
  reason: EndReason | undefined;
}

export type StreamSlots = ReturnType<typeof createStreamSlots>;

/**
 * The requests that are held open, event streams and long polls: how many a principal and the process may have, and what
 * ends them from this side. The static tokens have no principal, so only the process's cap is theirs.
 */
export function createStreamSlots({ lifecycle, keyWatch, maxPerPrincipal, maxPerProcess, metrics }: Parts) {
  const held = new Set<Held>();
  const perPrincipal = new Map<string, number>();
  let closesAt = 0;
  const shutdown = (): EndReason => ({ kind: 'shutdown', closesInMs: Math.max(0, closesAt - performance.now()) });

  function count(principal: string | undefined, change: 1 | -1): void {
    if (principal === undefined) return;
    const total = (perPrincipal.get(principal) ?? 0) + change;
    if (total > 0) perPrincipal.set(principal, total);
    else perPrincipal.delete(principal);
  }

  function refuse(reason: 'shutdown' | 'process' | 'principal', error: GatewayError): never {
    metrics.streamRefusals.inc({ reason });
    throw error;
  }

  function end(slot: Held, reason: EndReason): void {
    if (slot.reason) return;
    slot.reason = reason;
    slot.end?.(reason);
  }

  return {
    /**
     * Takes a slot until the response is closed, however that comes. Throws OVERLOADED, TOO_MANY_STREAMS and, while the
     * process shuts down, UNAVAILABLE; but one that `resumes` gets a slot whose end has come.
     */
    take(caller: Caller, outgoing: ServerResponse, { resumes = false } = {}): StreamSlot {
      const { principal } = caller;
      if (outgoing.destroyed) throw new GatewayError('CLIENT_CLOSED_REQUEST', 'the client went away');
      if (lifecycle.draining && !resumes) {
        const retryAfterSeconds = 1 + (closesAt - performance.now()) / 1000;
        refuse('shutdown', new GatewayError('UNAVAILABLE', 'shutting down', { retryAfterSeconds }));
      }
      const retryAfterSeconds = RETRY_AFTER_SECONDS;
      if (held.size >= maxPerProcess) {
        refuse(
          'process',
          new GatewayError('OVERLOADED', 'the streams of the process are used up', { retryAfterSeconds }),
        );
      }
      if (principal !== undefined && (perPrincipal.get(principal) ?? 0) >= maxPerPrincipal) {
        const message = `${maxPerPrincipal} streams are open already; close one first`;
        refuse('principal', new GatewayError('TOO_MANY_STREAMS', message, { retryAfterSeconds }));
      }
      const slot: Held = { end: undefined, reason: lifecycle.draining ? shutdown() : undefined };
      held.add(slot);
      metrics.open.held++;
      count(principal, 1);
      const stopWatch = keyWatch.watch(caller, (error) => end(slot, { kind: 'refused', error }));
      outgoing.on('close', () => {
        held.delete(slot);
        metrics.open.held--;
        count(principal, -1);
        stopWatch();
      });
      return {
        onEnd(callback) {
          slot.end = callback;
          if (slot.reason) callback(slot.reason);
        },
      };
    },

    /** Ends every request that is held open, one after the other over `windowMs`: they do not come back all at once. */
    drain(windowMs: number): void {
      closesAt = performance.now() + windowMs;
      const shareMs = windowMs / Math.max(1, held.size);
      for (const [index, slot] of [...held].entries()) {
        setTimeout(() => end(slot, shutdown()), (index + Math.random()) * shareMs);
      }
    },
  };
}
