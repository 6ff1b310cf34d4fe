import { backoffMs } from './backoff.ts';
import { type Connection, createConnection } from './connection.ts';
import { type Address, openSocket } from './open-socket.ts';
import type { Standing, Verdict } from './standing.ts';
import type { StreamSource, Target } from './stream-source.ts';

/** Bound of a connection from its first packet to the server's SETTINGS. */
const CONNECT_MS = 5_000;
/** Short, so that a server that comes back is not left out for long. */
const LONGEST_BACKOFF_MS = 1_000;

/** Where a stream is opened. */
export interface Place {
  readonly connection: Connection;
  readonly backend: Backend;
}

export interface BackendParts {
  readonly address: Address;
  /** The field block that goes before those of its requests. */
  readonly authority: Buffer;
  readonly standing: Standing;
  readonly streamWindowBytes: number;
  readonly keepaliveMs: number;
  readonly ca: string | undefined;
  /** Ends what is being opened. */
  readonly signal: AbortSignal;
  /** A connection has room, perhaps. */
  readonly onRoom: () => void;
  /** A connection was opened, could not be, or is gone. */
  readonly onChange: () => void;
  readonly judge: (backend: Backend, verdict: Verdict) => void;
  readonly elsewhere: (backend: Backend) => StreamSource | undefined;
}

/** One address with its connections. */
export interface Backend extends Target {
  readonly address: Address;
  readonly standing: Standing;
  /** The connections that take streams. */
  readonly places: ReadonlySet<Place>;
  readonly isOpening: boolean;
  /** Nobody tries before, by performance.now(). */
  readonly retryAt: number;
  /** Why it could not be reached the last time. */
  readonly lastError: Error | undefined;
  open(): void;
  /** Its name is gone: what is open goes on, and nothing more is asked here. */
  retire(): void;
  /** Asks on each connection whether the server is still there; one where it is not is closed. */
  probe(): void;
  /** Nothing is open any more. */
  isOver(): boolean;
  close(): void;
}

/** After a failure nobody tries for a time that grows. */
export function createBackend(parts: BackendParts): Backend {
  const { address, standing, onRoom, onChange } = parts;
  const places = new Set<Place>();
  const connections = new Set<Connection>();
  let failures = 0;
  let isRetired = false;

  function rest(): void {
    failures++;
    backend.retryAt = performance.now() + backoffMs(failures, LONGEST_BACKOFF_MS);
  }

  /** Settles when the server takes streams, or is known not to. */
  async function connect(): Promise<void> {
    const startedAt = performance.now();
    const socket = await openSocket(address, { timeoutMs: CONNECT_MS, ca: parts.ca, signal: parts.signal });
    await new Promise<void>((settle, reject) => {
      const leftMs = Math.max(1, CONNECT_MS - (performance.now() - startedAt));
      const timer = setTimeout(() => connection.close(new Error('no SETTINGS from the server in time')), leftMs);
      const connection = createConnection(socket, {
        streamWindowBytes: parts.streamWindowBytes,
        keepaliveMs: parts.keepaliveMs,
        onReady() {
          clearTimeout(timer);
          places.add(place);
          standing.hasten();
          settle();
          if (isRetired) connection.retire();
        },
        onRoom,
        onLeave() {
          if (!places.delete(place)) return;
          if (connection.hasServed()) failures = 0;
          else rest();
          onChange();
        },
        onClose(error) {
          clearTimeout(timer);
          connections.delete(connection);
          reject(error);
          onChange();
        },
      });
      const place: Place = { connection, backend };
      connections.add(connection);
    });
  }

  const backend = {
    address,
    authority: parts.authority,
    standing,
    places,
    isOpening: false,
    retryAt: 0,
    lastError: undefined as Error | undefined,

    open(): void {
      backend.isOpening = true;
      connect().then(
        () => {
          backend.isOpening = false;
          backend.lastError = undefined;
          onChange();
        },
        (error: Error) => {
          backend.isOpening = false;
          backend.lastError = error;
          rest();
          onChange();
        },
      );
    },

    probe() {
      for (const connection of connections) connection.probe(performance.now());
    },

    isOver: () => connections.size === 0 && !backend.isOpening,

    judge: (verdict: Verdict) => parts.judge(backend, verdict),
    elsewhere: () => parts.elsewhere(backend),

    retire(): void {
      isRetired = true;
      for (const { connection } of [...places]) connection.retire();
    },

    close(): void {
      for (const connection of [...connections]) connection.close();
    },
  };
  return backend;
}
