import type { SecureContext } from 'node:tls';
import type { Transport } from '@connectrpc/connect';
import type { Tracing } from '../../shared/tracing.ts';
import { createCallSpans } from './call-spans.ts';
import type { AddressObserver } from './http2/backends.ts';
import type { Standings } from './http2/standing.ts';
import type { RetryBudget } from './retry-budget.ts';

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
  /** One is not, because there have been too many of them. */
  onRetryRefused(): void;
}

export interface TransportOptions {
  /** As `readEndpoints` reads it; only `direct` takes several. */
  readonly endpoint: string;
  readonly keepaliveMs: number;
  /** Larger answers fail with RESOURCE_EXHAUSTED. */
  readonly readMaxBytes: number;
  /**
   * The authorities that the server's certificate may be from, and a certificate of ours, asked with each connection;
   * undefined: the usual authorities.
   */
  readonly secureContext?: (() => SecureContext) | undefined;
  /** Time between two questions for the addresses of names that are in use. */
  readonly resolveMs?: number | undefined;
  /** Shared with other transports to the same servers. */
  readonly standings?: Standings | undefined;
  /** Shared, too. `direct` makes calls again as far as it goes. */
  readonly retries?: RetryBudget | undefined;
  readonly observer?: TransportObserver | undefined;
  /** Undefined: calls have no spans. */
  readonly tracing?: Tracing | undefined;
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
  const transport = create(options);
  // `direct` sees to its own, because it is the one that makes calls again.
  return options.tracing && name !== 'direct' ? traceCalls(transport, options.tracing, options.endpoint) : transport;
}

function traceCalls(transport: UpstreamTransport, tracing: Tracing, endpoint: string): UpstreamTransport {
  const startSpans = createCallSpans(tracing, endpoint);

  function cover<C extends Parameters<Transport['unary']>, T>(make: (...call: C) => Promise<T>): typeof make {
    return (...call) => {
      const spans = startSpans(call[0], call[3]);
      return spans ? spans.cover(make(...(call.with(3, spans.metadata) as C))) : make(...call);
    };
  }

  return {
    ...transport,
    unary: cover(transport.unary) as UpstreamTransport['unary'],
    unaryBytes: cover(transport.unaryBytes),
    async stream(...call) {
      const spans = startSpans(call[0], call[3]);
      if (!spans) return transport.stream(...call);
      call[3] = spans.metadata;
      const answer = await spans.open(transport.stream(...call));
      const message = spans.watch(answer.message);
      // Its trailer is not known yet.
      return Object.defineProperty(Object.create(answer), 'message', { value: message }) as typeof answer;
    },
  };
}
