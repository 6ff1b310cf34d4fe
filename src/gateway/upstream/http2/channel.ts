import { backoffMs } from './backoff.ts';
import { type Connection, createConnection } from './connection.ts';
import { StreamError } from './errors.ts';
import { type Address, openSocket } from './open-socket.ts';
import { addressKey, resolveAddresses } from './resolve-addresses.ts';

/** Bound of a connection from its first packet to the server's SETTINGS. */
const CONNECT_MS = 5_000;
/** Short, so that a server that comes back is not left out for long. */
const LONGEST_BACKOFF_MS = 1_000;
/** The least time between two questions for the addresses of a name. */
const RESOLVE_INTERVAL_MS = 1_000;

export interface ChannelOptions {
  /** http:// or https://, as many as there are servers that do the same. */
  readonly endpoints: readonly URL[];
  /** Connections to one address; more are opened while all streams of the others are taken. */
  readonly maxConnections: number;
  readonly streamWindowBytes: number;
  readonly keepaliveMs: number;
  /** PEM of the authorities that a server's certificate may be from; undefined: the usual ones. */
  readonly ca?: string | undefined;
}

/** Who wants a stream. */
export interface Waiter {
  /** Has a connection with room for it, and must open the stream at once. */
  begin(connection: Connection): void;
  /** Nobody can be reached. */
  fail(error: StreamError): void;
}

/** One address with the connections that take streams. */
interface Backend {
  readonly address: Address;
  readonly connections: Set<Connection>;
  isOpening: boolean;
  failures: number;
  /** Nobody tries before, by performance.now(). */
  retryAt: number;
  /** Why it could not be reached the last time. */
  lastError: Error | undefined;
}

export type Channel = ReturnType<typeof createChannel>;

/**
 * Connections to all addresses of some endpoints. Streams go to them in turn; an address that cannot be reached is left out
 * for a time that grows; whoever finds no room waits in line. A channel with nothing to do opens nothing.
 */
export function createChannel(options: ChannelOptions) {
  let backends: readonly Backend[] = [];
  const connections = new Set<Connection>();
  const line = new Set<Waiter>();
  let turn = 0;
  let isResolving = false;
  let resolveError: Error | undefined;
  let resolvedAt = Number.NEGATIVE_INFINITY;
  let wake: NodeJS.Timeout | undefined;
  let isClosed = false;
  const closing = new AbortController();

  function pick(): Connection | undefined {
    for (let step = 0; step < backends.length; step++) {
      const index = (turn + step) % backends.length;
      for (const connection of backends[index]!.connections) {
        if (!connection.hasRoom()) continue;
        turn = (index + 1) % backends.length;
        return connection;
      }
    }
    return undefined;
  }

  function serveLine(): void {
    for (const waiter of line) {
      const connection = pick();
      if (!connection) return;
      line.delete(waiter);
      waiter.begin(connection);
    }
  }

  function failLine(cause: Error): void {
    const waiters = [...line];
    line.clear();
    for (const waiter of waiters) waiter.fail(new StreamError(`no connection: ${cause.message}`, { cause }));
  }

  const isDown = ({ connections: { size } }: Backend) => size === 0;

  /** Opens connections where they are missing. Fails the line when there is nothing that it could wait for. */
  function grow(): void {
    if (isClosed) return;
    const now = performance.now();
    if ((backends.length === 0 || backends.some(isDown)) && now - resolvedAt > RESOLVE_INTERVAL_MS) resolve(now);
    const missing = backends.filter(needsConnection);
    for (const backend of missing) {
      if (!backend.isOpening && now >= backend.retryAt) open(backend);
    }
    if (line.size === 0 || isResolving || backends.some(({ isOpening }) => isOpening)) return;
    if (backends.every((backend) => isDown(backend) && backend.lastError)) {
      failLine(backends[0]?.lastError ?? resolveError ?? new Error('the server has no address'));
    } else if (missing.length > 0) growAt(Math.min(...missing.map(({ retryAt }) => retryAt)));
  }

  function needsConnection(backend: Backend): boolean {
    if (isDown(backend)) return true;
    if (line.size === 0 || backend.connections.size >= options.maxConnections) return false;
    // A server that takes no stream on a connection without any will not take one on the next connection either.
    return [...backend.connections].every((connection) => connection.takenPlaces() > 0);
  }

  /** For those who wait while a server is left in peace that hung up at once, or took no further connection. */
  function growAt(time: number): void {
    wake ??= setTimeout(
      () => {
        wake = undefined;
        grow();
      },
      Math.max(1, time - performance.now()),
    );
  }

  function resolve(now: number): void {
    if (isResolving) return;
    isResolving = true;
    resolvedAt = now;
    resolveAddresses(options.endpoints).then(
      (addresses) => {
        isResolving = false;
        resolveError = undefined;
        adopt(addresses);
        grow();
      },
      (error: Error) => {
        isResolving = false;
        resolveError = error;
        // The addresses that the names had before are still worth a try.
        if (backends.length === 0) failLine(error);
        else grow();
      },
    );
  }

  function adopt(addresses: readonly Address[]): void {
    const known = new Map(backends.map((backend) => [addressKey(backend.address), backend]));
    const next = addresses.map((address) => known.get(addressKey(address)) ?? createBackend(address));
    // One that is in use stays until its server leaves: it may have lost its name alone.
    const inUse = backends.filter((backend) => !next.includes(backend) && (backend.isOpening || !isDown(backend)));
    backends = [...next, ...inUse];
  }

  function open(backend: Backend): void {
    backend.isOpening = true;
    connect(backend).then(
      () => {
        backend.isOpening = false;
        backend.lastError = undefined;
        serveLine();
        if (line.size > 0) grow();
      },
      (error: Error) => {
        backend.isOpening = false;
        backend.lastError = error;
        rest(backend);
        if (line.size > 0) grow();
      },
    );
  }

  function rest(backend: Backend): void {
    backend.failures++;
    backend.retryAt = performance.now() + backoffMs(backend.failures, LONGEST_BACKOFF_MS);
  }

  /** Settles when the server takes streams, or is known not to. */
  async function connect(backend: Backend): Promise<void> {
    const startedAt = performance.now();
    const socket = await openSocket(backend.address, { timeoutMs: CONNECT_MS, ca: options.ca, signal: closing.signal });
    await new Promise<void>((settle, reject) => {
      const leftMs = Math.max(1, CONNECT_MS - (performance.now() - startedAt));
      const timer = setTimeout(() => connection.close(new Error('no SETTINGS from the server in time')), leftMs);
      const connection = createConnection(socket, {
        streamWindowBytes: options.streamWindowBytes,
        keepaliveMs: options.keepaliveMs,
        onReady() {
          clearTimeout(timer);
          backend.connections.add(connection);
          settle();
        },
        onRoom: serveLine,
        onLeave() {
          if (!backend.connections.delete(connection)) return;
          if (connection.hasServed()) backend.failures = 0;
          else rest(backend);
          if (line.size > 0) grow();
        },
        onClose(error) {
          clearTimeout(timer);
          connections.delete(connection);
          reject(error);
          if (line.size > 0) grow();
        },
      });
      connections.add(connection);
    });
  }

  return {
    /** A stream for `waiter`, at once if there is room. Nobody waits for servers that are known to be down. */
    request(waiter: Waiter): void {
      if (isClosed) {
        waiter.fail(new StreamError('no connection: closed by us'));
        return;
      }
      const connection = line.size === 0 ? pick() : undefined;
      if (connection) waiter.begin(connection);
      else line.add(waiter);
      if (!connection || backends.some(isDown)) grow();
    },

    /** It waits no longer. */
    leaveLine(waiter: Waiter): void {
      line.delete(waiter);
    },

    close(): void {
      isClosed = true;
      closing.abort();
      clearTimeout(wake);
      for (const connection of [...connections]) connection.close();
      failLine(new Error('closed by us'));
    },
  };
}

function createBackend(address: Address): Backend {
  return { address, connections: new Set(), isOpening: false, failures: 0, retryAt: 0, lastError: undefined };
}
