import type { Turnstile } from '../shared/turnstile.ts';
import { GatewayError } from './errors.ts';

/**
 * Settles when it is the turn of what is done with so many bytes; undefined: they are few enough to begin at once. Throws
 * CLIENT_CLOSED_REQUEST when the client has left by then: who has left counts for nobody any more, so nothing else would
 * bound what is done for it.
 */
export function takeTurn(turnstile: Turnstile, sizeBytes: number, signal: AbortSignal): Promise<void> | undefined {
  return turnstile.wait(sizeBytes)?.then(() => {
    if (signal.aborted) throw new GatewayError('CLIENT_CLOSED_REQUEST', 'the client went away');
  });
}
