import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

/** What is spoken with the gateway: HTTP/1.1 as it is or over TLS, or HTTP/2, which is over TLS always. */
export const OVERS = ['http1', 'tls', 'h2'] as const;
export type Over = (typeof OVERS)[number];

/** Where a gateway can be reached. */
export interface Place {
  readonly port: number;
  readonly over: Over;
  /** Of its certificate, as PEM; undefined: it has none. */
  readonly ca: string | undefined;
}

/** A new connection, to which can be written at once. */
export function openSocket(
  { port, ca }: Pick<Place, 'port' | 'ca'>,
  protocol: 'http/1.1' | 'h2' = 'http/1.1',
): Socket | TLSSocket {
  const address = { port, host: '127.0.0.1', allowHalfOpen: true };
  if (ca === undefined) return connect(address);
  return connectTls({ ...address, ca, servername: 'localhost', ALPNProtocols: [protocol] });
}
