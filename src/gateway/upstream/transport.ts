import type { Transport } from '@connectrpc/connect';
import type { AddressObserver } from './http2/backends.ts';
import type { Standings } from './http2/standing.ts';

/** A connect Transport that can also hand out an answer as it came. */
export interface UpstreamTransport extends Transport {
  /** Like `unary`, but answers with the bytes of the message, for whoever needs no message made of them. */
  unaryBytes(...call: Parameters<Transport['unary']>): Promise<Uint8Array>;
  /** Each server that is connected, for calls to it alone; undefined where they cannot be told apart. */
  each?(): readonly { readonly address: string; readonly transport: Transport }[];
  close(): void;
}

export interface TransportObserver extends AddressObserver {
  /** A call is made once more, at another address. */
  onRetry(method: string): void;
}

export interface TransportOptions {
  /** As `readEndpoints` reads it; only `direct` takes several. */
  readonly endpoint: string;
  readonly keepaliveMs: number;
  /** Larger answers fail with RESOURCE_EXHAUSTED. */
  readonly readMaxBytes: number;
  /** PEM of the authorities that the server's certificate may be from; undefined: the usual ones. */
  readonly ca?: string | undefined;
  /** Time between two questions for the addresses of names that are in use. */
  readonly resolveMs?: number | undefined;
  /** Shared with other transports to the same servers. */
  readonly standings?: Standings | undefined;
  readonly observer?: TransportObserver | undefined;
}

/** What the gateway's calls may go over; docs/performance.md compares them. Only the one that is used is loaded. */
const LOAD = {
  direct: async () => (await import('./direct-transport.ts')).createDirectTransport,
  session: async () => (await import('./session-transport.ts')).createSessionTransport,
  stock: async () => (await import('./stock-transport.ts')).createStockTransport,
} as const satisfies Record<string, () => Promise<(options: TransportOptions) => UpstreamTransport>>;

export type TransportName = keyof typeof LOAD;
export const TRANSPORTS = Object.keys(LOAD) as readonly TransportName[];

/** One of the transports, with connections of its own. */
export async function createTransport(name: TransportName, options: TransportOptions): Promise<UpstreamTransport> {
  const create = await LOAD[name]();
  return create(options);
}
