import type { Backend, Place } from './backend.ts';
import type { Connection } from './connection.ts';
import type { StreamError } from './errors.ts';
import type { Verdict } from './standing.ts';

/** Where a call was made, for what has to be said of its answer. */
export interface Target {
  /** The field block that goes before that of the request. */
  readonly authority: Buffer;
  /** What came of a call that was made at `askedAt`, by performance.now(). */
  judge(verdict: Verdict, askedAt: number): void;
  /** Where the call can be made again, at another address; undefined while there is none with room. */
  elsewhere(): StreamSource | undefined;
}

/** Who wants a stream. */
export interface Waiter {
  /** Has a connection with room for it, and must open the stream at once. */
  begin(connection: Connection, target: Target): void;
  /** Nobody can be reached. */
  fail(error: StreamError): void;
}

/** Where streams come from: a channel, or one address of it. */
export interface StreamSource {
  /** A stream for `waiter`, at once if there is room. Nobody waits for servers that are known to be down. */
  request(waiter: Waiter): void;
  /** It waits no longer. */
  leaveLine(waiter: Waiter): void;
}

/** Room for a stream at this address. */
export function findPlace({ places }: Backend): Place | undefined {
  for (const place of places) if (place.connection.hasRoom()) return place;
  return undefined;
}

/** Streams at this address alone, from which nothing follows for its standing; but its silence is told. */
export function onlyAt(backend: Backend): StreamSource {
  const target: Target = {
    authority: backend.authority,
    judge(verdict) {
      if (verdict === 'late') backend.tellSilence();
    },
    elsewhere: () => undefined,
  };
  return {
    request: (waiter) => backend.request(waiter, target),
    leaveLine: backend.leaveLine,
  };
}
