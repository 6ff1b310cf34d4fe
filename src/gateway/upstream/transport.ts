import type { Transport } from '@connectrpc/connect';

/** A connect Transport that can also hand out an answer as it came. */
export interface UpstreamTransport extends Transport {
  /** Like `unary`, but answers with the bytes of the message, for whoever needs no message made of them. */
  unaryBytes(...call: Parameters<Transport['unary']>): Promise<Uint8Array>;
  close(): void;
}

export interface TransportOptions {
  /** http:// or https://. */
  readonly endpoint: string;
  readonly keepaliveMs: number;
  /** Larger answers fail with RESOURCE_EXHAUSTED. */
  readonly readMaxBytes: number;
  /** PEM of the authorities that the server's certificate may be from; undefined: the usual ones. */
  readonly ca?: string | undefined;
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
