import type { Server as HttpServer } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Address } from './settings.ts';
import { StartupError } from './startup-error.ts';

const connectionsOf = new WeakMap<object, Map<Socket, number>>();

/** Opens `server` on `address` and answers with the port it got (port 0 picks a free one). Throws StartupError. */
export function listen(server: HttpServer | Http2Server, address: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(refusal(address, error)));
    const openedAtMs = new Map<Socket, number>();
    connectionsOf.set(server, openedAtMs);
    // One function for all, not one more for each of thousands of connections.
    function forget(this: Socket): void {
      openedAtMs.delete(this);
    }
    server.on('connection', (socket: Socket) => {
      openedAtMs.set(socket, performance.now());
      socket.on('close', forget);
    });
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

/** How long a connection that was just opened may be silent: its first request may be on its way, in milliseconds. */
const FIRST_BYTE_MS = 1_000;

/**
 * Takes no more connections, lets what is under way finish, and cuts what is left after `graceMs`; `onCut` is called before,
 * if anything is left.
 */
export async function drain(server: HttpServer, graceMs: number, onCut?: () => void): Promise<void> {
  const cut = setTimeout(() => {
    onCut?.();
    server.closeAllConnections();
  }, graceMs);
  const sweep = setInterval(() => {
    server.closeIdleConnections();
    // Node takes one on which nothing has been asked yet, such as a browser's spare one, for busy.
    for (const [socket, openedAtMs] of connectionsOf.get(server) ?? []) {
      if (socket.bytesRead === 0 && performance.now() - openedAtMs > FIRST_BYTE_MS) socket.destroy();
    }
  }, IDLE_CHECK_MS);
  await new Promise((resolve) => server.close(resolve));
  clearTimeout(cut);
  clearInterval(sweep);
}
