import type { Server as HttpServer } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Address } from './settings.ts';
import { StartupError } from './startup-error.ts';

/** Opens `server` on `address` and answers with the port it got (port 0 picks a free one). Throws StartupError. */
export function listen(server: HttpServer | Http2Server, address: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(refusal(address, error)));
    server.listen(address.port, address.host, () => resolve((server.address() as AddressInfo).port));
  });
}

const REASONS: Record<string, string> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'not allowed to open it',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the host name is unknown',
};

function refusal(address: Address, error: NodeJS.ErrnoException): StartupError {
  const reason = REASONS[error.code ?? ''] ?? error.message;
  return new StartupError(`cannot listen on ${formatAddress(address)}: ${reason}`, undefined, { cause: error });
}

/** host:port, with the brackets an IPv6 host needs. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** How often connections that have become idle are looked for, in milliseconds. */
const IDLE_CHECK_MS = 50;

/** Takes no more connections, lets what is under way finish, and cuts what is left after `graceMs`. */
export async function drain(server: HttpServer, graceMs: number): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  const sweep = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  await new Promise((resolve) => server.close(resolve));
  clearTimeout(cut);
  clearInterval(sweep);
}
