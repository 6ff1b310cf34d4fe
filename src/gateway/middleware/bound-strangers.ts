import type { IncomingMessage } from 'node:http';
import type { Middleware } from '../context.ts';
import { GatewayError } from '../errors.ts';
import { breakBody } from './broken-body.ts';

/** Bodies of nobody in particular that may be on their way at once. */
const MAX_COMING = 64;

/**
 * For an operation that needs no credential: nothing else bounds how many bodies strangers fill the memory with. When there are
 * too many, the one that has been coming for the longest time goes: an honest one is there within a moment.
 */
export function createBoundStrangers(): Middleware {
  /** The oldest first. */
  const coming = new Set<IncomingMessage>();
  return function boundStrangers({ env: { incoming } }) {
    if (incoming.destroyed) return;
    if (coming.size >= MAX_COMING) {
      const [oldest] = coming;
      coming.delete(oldest!);
      const error = new GatewayError('OVERLOADED', 'too many bodies are on their way', { isRefusal: true });
      breakBody(oldest!, error);
    }
    coming.add(incoming);
    const leave = () => coming.delete(incoming);
    incoming.once('end', leave).once('close', leave);
  };
}
