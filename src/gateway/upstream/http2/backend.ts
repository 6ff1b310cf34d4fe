import type { SecureContext } from 'node:tls';
import { backoffMs } from './backoff.ts';
import { type Connection, createConnection } from './connection.ts';
import { StreamError } from './errors.ts';
import { type Address, openSocket } from './open-socket.ts';
import type { Standing, Verdict } from './standing.ts';
import { findPlace, type StreamSource, type Target, type Waiter } from './stream-source.ts';

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
  readonly secureContext: (() => SecureContext) | undefined;
  /** Ends what is being opened. */
  readonly signal: AbortSignal;
  /** A connection has room, perhaps. */
  readonly onRoom: () => void;
  /** A connection was opened, could not be, or is gone. */
  readonly onChange: () => void;
  readonly tellSilence: (backend: Backend) => void;
  readonly judge: (backend: Backend, verdict: Verdict, askedAt: number) => void;
  readonly elsewhere: (backend: Backend) => StreamSource | undefined;
}

/** One address with its connections. */
export interface Backend extends Target {
  readonly address: Address;
  readonly standing: Standing;
  /** The connections that take streams. */
  readonly places: ReadonlySet<Place>;
  readonly isOpening: boolean;
  /** When the last connection was begun, by performance.now(). */
  readonly openedAt: number;
  /** Nobody tries before, by performance.now(). */
  readonly retryAt: number;
  /** Why it could not be reached the last time. */
  readonly lastError: Error | undefined;
  open(): void;
  /** A stream here and nowhere else, as soon as there is room; fails when it is not connected. */
  request(waiter: Waiter, target: Target): void;
  leaveLine(waiter: Waiter): void;
  /** Its name is gone: what is open goes on, and nothing more is asked here. */
  retire(): void;
  /** Asks on each connection whether the server is still there; one where it is not is closed. */
  probe(): void;
  /** A call got no answer in its time: whoever has connections to it asks whether it is still there. */
  tellSilence(): void;
  /** Nothing is open any more. */
  isOver(): boolean;
  close(): void;
}

/** After a failure nobody tries for a time that grows. */
export function createBackend(parts: BackendParts): Backend {
  const { address, standing } = parts;
  const places = new Set<Place>();
  /** Those who wait for room here. */
  const line = new Map<Waiter, Target>();
  const connections = new Set<Connection>();
  let failures = 0;
  let isRetired = false;

  function rest(): void {
    failures++;
    backend.retryAt = performance.now() + backoffMs(failures, LONGEST_BACKOFF_MS);
  }

  function serveLine(): void {
    for (const [waiter, target] of [...line]) {
      const place = findPlace(backend);
      if (!place && places.size > 0) return;
      line.delete(waiter);
      if (place) waiter.begin(place.connection, target);
      else waiter.fail(new StreamError('no connection: the address is not connected'));
    }
  }

  function onRoom(): void {
    serveLine();
    parts.onRoom();
  }

  function onChange(): void {
    serveLine();
    parts.onChange();
  }

  /** Settles when the server takes streams, or is known not to. */
  async function connect(): Promise<void> {
    const startedAt = performance.now();
    const { secureContext, signal } = parts;
    const socket = await openSocket(address, { timeoutMs: CONNECT_MS, secureContext, signal });
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
    openedAt: 0,
    retryAt: 0,
    lastError: undefined as Error | undefined,

    open(): void {
      backend.isOpening = true;
      backend.openedAt = performance.now();
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

    request(waiter: Waiter, target: Target): void {
      line.set(waiter, target);
      serveLine();
      if (!line.has(waiter) || backend.isOpening || performance.now() < backend.retryAt) return;
      // One that takes no stream on a connection without any will not take one on the next connection either.
      if ([...places].every(({ connection }) => connection.takenPlaces() > 0)) backend.open();
    },

    leaveLine: (waiter: Waiter) => void line.delete(waiter),

    tellSilence: () => parts.tellSilence(backend),

    probe() {
      for (const connection of connections) connection.probe(performance.now());
    },

    isOver: () => connections.size === 0 && !backend.isOpening,

    judge: (verdict: Verdict, askedAt: number) => parts.judge(backend, verdict, askedAt),
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
