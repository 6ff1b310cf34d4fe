import type { SecureContext } from 'node:tls';
import type { Backend, Place } from './backend.ts';
import { type BackendsOptions, createBackends, formatHost, isDown, isOut } from './backends.ts';
import { StreamError } from './errors.ts';
import { findPlace, onlyAt, type StreamSource, type Waiter } from './stream-source.ts';

/** How long anybody waits for a connection to an address to which the last one could not be made. */
const PATIENCE_MS = 1_000;

export interface ChannelOptions extends BackendsOptions {
  /** Connections to one address; more are opened while all streams of the others are taken. */
  readonly maxConnections: number;
  readonly streamWindowBytes: number;
  readonly keepaliveMs: number;
  /** Authorities and a certificate of ours, asked with each connection; undefined: the usual authorities. */
  readonly secureContext?: (() => SecureContext) | undefined;
}

export type { Waiter } from './stream-source.ts';
export type Channel = ReturnType<typeof createChannel>;

/**
 * Connections to all addresses of some endpoints. Streams go to them in turn; an address that cannot be reached, or whose
 * circuit is open, is left out; whoever finds no room waits in line, and nobody waits when all are left out. A channel with
 * nothing to do opens nothing, and asks for no names.
 */
export function createChannel(options: ChannelOptions) {
  const line = new Set<Waiter>();
  let turn = 0;
  let resolveError: Error | undefined;
  let wake: NodeJS.Timeout | undefined;
  let isClosed = false;
  const closing = new AbortController();
  const backends = createBackends(options, {
    streamWindowBytes: options.streamWindowBytes,
    keepaliveMs: options.keepaliveMs,
    secureContext: options.secureContext,
    signal: closing.signal,
    elsewhere,
    onRoom: serveLine,
    onChange() {
      backends.count();
      serveLine();
      if (line.size > 0) grow();
    },
    onResolved(error) {
      resolveError = error;
      if (error && backends.current().length === 0) failLine(error);
      else grow();
    },
  });

  /** Room at the next address in turn that is not left out. */
  function pick(avoided?: Backend): Place | undefined {
    const all = backends.current();
    for (let step = 0; step < all.length; step++) {
      const backend = all[(turn + step) % all.length]!;
      const place = backend === avoided || isOut(backend) ? undefined : findPlace(backend);
      if (place) return place;
    }
    return undefined;
  }

  function begin(waiter: Waiter, { connection, backend }: Place): void {
    turn = backends.current().indexOf(backend) + 1;
    waiter.begin(connection, backend);
  }

  function serveLine(): void {
    for (const waiter of line) {
      const place = pick();
      if (!place) return;
      line.delete(waiter);
      begin(waiter, place);
    }
  }

  function failLine(cause: Error): void {
    const waiters = [...line];
    line.clear();
    for (const waiter of waiters) waiter.fail(new StreamError(`no connection: ${cause.message}`, { cause }));
  }

  /** Opens connections where they are missing. Fails the line when there is nothing that it could wait for. */
  function grow(): void {
    if (isClosed) return;
    const all = backends.current();
    if (all.length === 0 || all.some(isDown)) backends.lookUp();
    const missing = all.filter(needsConnection);
    const now = performance.now();
    for (const backend of missing) {
      if (!backend.isOpening && now >= backend.retryAt) backend.open();
    }
    if (line.size === 0) return;
    const asked = all.filter((backend) => !isOut(backend));
    if (all.length > asked.length && asked.every(isUnreachable)) {
      failLine(new Error('the server answers badly, and is left out'));
    } else if (!backends.isResolving() && asked.every(isUnreachable)) {
      failLine(all[0]?.lastError ?? resolveError ?? new Error('the server has no address'));
    } else growAt(Math.min(...missing.map(nextLookAt)));
  }

  /** Whether there is nothing to wait for: it could not be connected, and that is not about to change. */
  function isUnreachable(backend: Backend): boolean {
    if (!isDown(backend) || !backend.lastError) return false;
    return !backend.isOpening || performance.now() - backend.openedAt >= PATIENCE_MS;
  }

  /** When there may be more to do for this address, or nothing to wait for; infinite: not before it says so itself. */
  function nextLookAt({ isOpening, openedAt, retryAt, lastError }: Backend): number {
    if (!isOpening) return retryAt;
    const patienceEndsAt = openedAt + PATIENCE_MS;
    return lastError && performance.now() < patienceEndsAt ? patienceEndsAt : Number.POSITIVE_INFINITY;
  }

  function needsConnection(backend: Backend): boolean {
    if (isDown(backend)) return true;
    if (line.size === 0 || backend.places.size >= options.maxConnections) return false;
    // A server that takes no stream on a connection without any will not take one on the next connection either.
    return [...backend.places].every(({ connection }) => connection.takenPlaces() > 0);
  }

  /** For those who wait while a server is left in peace that hung up at once, or took no further connection. */
  function growAt(time: number): void {
    if (time === Number.POSITIVE_INFINITY) return;
    wake ??= setTimeout(
      () => {
        wake = undefined;
        grow();
      },
      Math.max(1, time - performance.now()),
    );
  }

  function request(waiter: Waiter): void {
    if (isClosed) {
      waiter.fail(new StreamError('no connection: closed by us'));
      return;
    }
    const place = line.size === 0 ? pick() : undefined;
    if (place) begin(waiter, place);
    else line.add(waiter);
    backends.keepUp();
    if (!place || backends.current().some(isDown)) grow();
  }

  /** It waits no longer. */
  function leaveLine(waiter: Waiter): void {
    line.delete(waiter);
  }

  function elsewhere(avoided: Backend): StreamSource | undefined {
    if (isClosed || !pick(avoided)) return undefined;
    return {
      request(waiter) {
        const place = pick(avoided);
        if (place) begin(waiter, place);
        else request(waiter);
      },
      leaveLine,
    };
  }

  return {
    /** A stream for `waiter`, at once if there is room. Nobody waits for servers that are known to be down or sick. */
    request,
    leaveLine,

    /** Whether what fails at one address may be asked at another. */
    hasChoice(): boolean {
      const all = backends.current();
      if (all.length < 2) return false;
      let up = 0;
      for (const backend of all) if (!isDown(backend)) up++;
      return up > 1;
    },

    /** For calls that are made to one address alone: all that are connected. */
    each(): { readonly address: string; readonly source: StreamSource }[] {
      if (isClosed) return [];
      const all = backends.current();
      backends.keepUp();
      if (all.some(isDown)) grow();
      return all
        .filter((backend) => !isDown(backend))
        .map((backend) => ({
          address: formatHost(backend.address.host, backend.address.port),
          source: onlyAt(backend),
        }));
    },

    close(): void {
      isClosed = true;
      closing.abort();
      clearTimeout(wake);
      backends.close();
      failLine(new Error('closed by us'));
    },
  };
}
