import type { IncomingMessage } from 'node:http';
import type { GatewayError } from '../errors.ts';

const BROKEN = Symbol('broken body');
const errors = new WeakMap<IncomingMessage, GatewayError>();

/** Says that the rest of the body will not come, and why, while the answer can still be written. */
export function breakBody(incoming: IncomingMessage, error: GatewayError): void {
  errors.set(incoming, error);
  incoming.emit(BROKEN, error);
}

/** Why the rest of the body will not come; undefined: it may. */
export function brokenBy(incoming: IncomingMessage): GatewayError | undefined {
  return errors.get(incoming);
}

/** Calls `listener` when the body breaks; what it answers with takes the listener away. */
export function onBrokenBody(incoming: IncomingMessage, listener: (error: GatewayError) => void): () => void {
  incoming.once(BROKEN, listener);
  return () => incoming.off(BROKEN, listener);
}
