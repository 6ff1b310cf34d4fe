import type { Server as HttpServer } from 'node:http';
import type { Http2Server } from 'node:http2';
import { type AddressInfo, createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Address } from './settings.ts';
import { StartupError } from './startup-error.ts';

/** Connections that the system may hold for each socket until they are accepted. */
const BACKLOG = 4096;

const acceptorsOf = new WeakMap<object, readonly NetServer[]>();
const connectionsOf = new WeakMap<object, Map<Socket, number>>();

interface ListenOptions {
  /**
   * Sockets on the port. libuv accepts one connection of each in a turn of its loop, so a busy program with a single one takes
   * no more connections in a second than its loop has turns, however many probes wait. Linux alone shares a port so.
   */
  readonly acceptors?: number;
}

/** Opens `server` on `address` and answers with the port it got (port 0 picks a free one). Throws StartupError. */
export async function listen(
  server: HttpServer | Http2Server,
  address: Address,
  { acceptors = 1 }: ListenOptions = {},
): Promise<number> {
  watchConnections(server);
  const reusePort = acceptors > 1 && process.platform === 'linux';
  // A port that we share among our own sockets could be shared with another program of the same user, too.
  if (reusePort && address.port !== 0) await assertFree(address);
  const { port } = await open(server, address, reusePort);
  const others = Array.from({ length: reusePort ? acceptors - 1 : 0 }, () => createAcceptor(server));
  acceptorsOf.set(server, others);
  await Promise.all(others.map((acceptor) => open(acceptor, { ...address, port }, reusePort)));
  return port;
}

function watchConnections(server: HttpServer | Http2Server): void {
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
  // Over TLS the bytes of a request are those of the inner socket.
  server.on('secureConnection', (socket: TLSSocket) => {
    openedAtMs.set(socket, performance.now());
    socket.on('close', forget);
  });
}

function open(server: NetServer | Http2Server, address: Address, reusePort: boolean): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(refusal(address, error)));
    server.listen({ ...address, reusePort, backlog: BACKLOG }, () => resolve(server.address() as AddressInfo));
  });
}

/** Its sockets are as those of `server`: for node:http half-open, and not for TLS. */
function createAcceptor(server: HttpServer | Http2Server): NetServer {
  const { allowHalfOpen } = server as unknown as { readonly allowHalfOpen: boolean };
  return createNetServer({ allowHalfOpen, noDelay: true }, (socket) => server.emit('connection', socket));
}

async function assertFree(address: Address): Promise<void> {
  const trial = createNetServer();
  await open(trial, address, false);
  await new Promise((resolve) => trial.close(resolve));
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

/** Connections on which another protocol than HTTP/1.1 is spoken. */
export interface Sessions {
  /** Takes no more requests, and closes each when its last one is over; also those that come later. */
  readonly drain: () => void;
}

/**
 * Takes no more connections, lets what is under way finish, and cuts what is left after `graceMs`; `onCut` is called before,
 * if anything is left.
 */
export async function drain(
  server: HttpServer,
  graceMs: number,
  onCut?: () => void,
  sessions?: Sessions,
): Promise<void> {
  const cut = setTimeout(() => {
    onCut?.();
    server.closeAllConnections();
    // Also those that node:http does not know, because they are not, or not yet, its own.
    for (const socket of connectionsOf.get(server)?.keys() ?? []) socket.destroy();
  }, graceMs);
  sessions?.drain();
  const sweep = setInterval(() => {
    sparingSenders(server, () => server.closeIdleConnections());
    // Node takes one on which nothing has been asked yet, such as a browser's spare one, for busy.
    for (const [socket, openedAtMs] of connectionsOf.get(server) ?? []) {
      if (socket.bytesRead === 0 && performance.now() - openedAtMs > FIRST_BYTE_MS) socket.destroy();
    }
  }, IDLE_CHECK_MS);
  const closed = new Promise((resolve) => sparingSenders(server, () => server.close(resolve)));
  // Each waits for the connections that it has accepted.
  const others = acceptorsOf.get(server) ?? [];
  await Promise.all([closed, ...others.map((acceptor) => new Promise((resolve) => acceptor.close(resolve)))]);
  clearTimeout(cut);
  clearInterval(sweep);
}

/** For node:http an answer is over when all of it was handed to the socket, whether or not its client has taken it. */
function sparingSenders(server: HttpServer, closeIdle: () => void): void {
  const sockets = [...(connectionsOf.get(server)?.keys() ?? [])];
  const senders = sockets.filter(({ writableLength }) => writableLength > 0);
  for (const socket of senders) socket.destroy = () => socket;
  closeIdle();
  for (const socket of senders) Reflect.deleteProperty(socket, 'destroy');
}
