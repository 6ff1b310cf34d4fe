import type { ServerOptions } from 'node:http';
import type { GatewayConfig } from '../config.ts';
import { CountedMessage } from './counted-message.ts';

/** How often Node looks for requests that take too long, in milliseconds; by default it is every 30 s. */
const CHECK_MS = 500;
export const KEEP_ALIVE_MARGIN_MS = 1_000;

type Settings = Pick<
  GatewayConfig,
  'HEADER_TIMEOUT_SECONDS' | 'BODY_TIMEOUT_SECONDS' | 'IDLE_TIMEOUT_SECONDS' | 'HEADER_LIMIT_BYTES'
>;

/**
 * What Node's server enforces by itself of the limits of HTTP/1.1, in milliseconds and bytes. The rest is the listener's:
 * what Node would do about it is an answer that the contract does not know, or none.
 */
export function serverOptions(config: Settings) {
  return {
    headersTimeout: config.HEADER_TIMEOUT_SECONDS,
    requestTimeout: config.BODY_TIMEOUT_SECONDS,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: config.IDLE_TIMEOUT_SECONDS,
    // Beyond what `Keep-Alive: timeout=` says: a request of a client that goes by it is on its way for a while.
    keepAliveTimeoutBuffer: KEEP_ALIVE_MARGIN_MS,
    maxHeaderSize: config.HEADER_LIMIT_BYTES,
    insecureHTTPParser: false,
    // Is looked at with everything else of a head, and refused with our own answer.
    requireHostHeader: false,
    IncomingMessage: CountedMessage,
  } satisfies ServerOptions & { keepAliveTimeoutBuffer: number };
}
