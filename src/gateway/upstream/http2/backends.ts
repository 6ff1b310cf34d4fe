import { type Backend, type BackendParts, createBackend } from './backend.ts';
import { encodeFields } from './hpack/encoder.ts';
import type { Address } from './open-socket.ts';
import { addressKey, createResolver } from './resolve-addresses.ts';
import { createStandings, type Standings, type Verdict } from './standing.ts';
import { onlyAt, type StreamSource } from './stream-source.ts';

/** The least time between two questions for the addresses of a name. */
const RESOLVE_INTERVAL_MS = 1_000;
/** Time between two questions for names that are in use and have not failed. */
const DEFAULT_RESOLVE_MS = 30_000;
/** A server that had less time for a call is not to blame for having been late. */
const LEAST_CHANCE_MS = 100;

/** Addresses by how they are: connected and asked, not connected, or connected and left out. */
export interface AddressCounts {
  readonly up: number;
  readonly down: number;
  readonly ejected: number;
}

export interface AddressObserver {
  onCounts(counts: AddressCounts): void;
  /** The circuit of an address opens: its answers are bad, and it is left out. `isStill`: it was not back in between. */
  onLeftOut(address: string, isStill: boolean): void;
  /** It closes: the address is asked again, and answers. */
  onBack(address: string): void;
  /** An address could not be connected; told once until it can. */
  onUnreachable(address: string, error: Error): void;
  onReached(address: string): void;
  /** A name cannot be looked up; told once until it can. */
  onUnresolved(name: string, error: Error): void;
  onResolved(name: string): void;
}

export interface BackendsOptions {
  /** http:// or https://, as many as there are servers that do the same. */
  readonly endpoints: readonly URL[];
  readonly resolveMs?: number | undefined;
  /** Shared with other channels to the same servers. */
  readonly standings?: Standings | undefined;
  /** Tells whether a server whose circuit is open is well again, by a call over the given source. */
  readonly tryOut?: ((source: StreamSource) => Promise<boolean>) | undefined;
  readonly observer?: AddressObserver | undefined;
}

interface Callbacks extends Omit<BackendParts, 'address' | 'authority' | 'standing' | 'judge' | 'tellSilence'> {
  /** The names were looked up; `error` when none has an address. */
  readonly onResolved: (error?: Error) => void;
}

/** The addresses of all endpoints, as their names have them and their answers deserve. */
export function createBackends(options: BackendsOptions, { onResolved, ...callbacks }: Callbacks) {
  const { endpoints, observer, tryOut = async () => true, standings = createStandings() } = options;
  const resolver = createResolver(endpoints, {
    onFound(addresses) {
      if (isClosed) return;
      adopt(addresses);
      onResolved();
    },
    onFailure(name, error) {
      if (isClosed || unresolved.has(name)) return;
      unresolved.add(name);
      observer?.onUnresolved(name, error);
    },
    onSuccess(name) {
      if (unresolved.delete(name) && !isClosed) observer?.onResolved(name);
    },
  });
  const unresolved = new Set<string>();
  const unreachable = new Set<Backend>();
  const isShared = sharedAuthority(endpoints) !== undefined;
  let current: readonly Backend[] = [];
  /** Those that have lost their names, and may still have streams. */
  const retired = new Set<Backend>();
  let isResolving = false;
  let resolvedAt = Number.NEGATIVE_INFINITY;
  /** Names are to be looked up again when they are used. */
  let isStale = false;
  let staleTimer: NodeJS.Timeout | undefined;
  let trialTimer: NodeJS.Timeout | undefined;
  let isClosed = false;

  function resolve(): void {
    if (isResolving) return;
    isResolving = true;
    isStale = false;
    resolvedAt = performance.now();
    const settle = (error?: Error) => {
      isResolving = false;
      if (isClosed) return;
      ageNames();
      onResolved(error);
    };
    resolver.resolve().then(() => settle(), settle);
  }

  /** From some time on, whoever uses the names has them looked up again. */
  function ageNames(): void {
    if (!resolver.hasNames) return;
    clearTimeout(staleTimer);
    staleTimer = setTimeout(() => {
      isStale = true;
    }, options.resolveMs ?? DEFAULT_RESOLVE_MS).unref();
  }

  function adopt(addresses: readonly Address[]): void {
    const known = new Map(current.map((backend) => [addressKey(backend.address), backend]));
    current = addresses.map((address) => known.get(addressKey(address)) ?? add(address));
    for (const [key, backend] of known) {
      if (current.includes(backend)) continue;
      standings.release(key);
      unreachable.delete(backend);
      retired.add(backend);
      backend.retire();
    }
    count();
  }

  function add(address: Address): Backend {
    const authority = isShared ? Buffer.alloc(0) : encodeFields([[':authority', address.authority]]);
    const standing = standings.take(addressKey(address));
    return createBackend({ ...callbacks, address, authority, standing, judge, tellSilence });
  }

  function count(): void {
    for (const backend of retired) if (backend.isOver()) retired.delete(backend);
    tryOutDue();
    if (!observer || isClosed) return;
    for (const backend of current) tellReach(backend, observer);
    const down = current.filter(isDown).length;
    const ejected = current.filter((backend) => !isDown(backend) && isOut(backend)).length;
    observer.onCounts({ up: current.length - down - ejected, down, ejected });
  }

  function tellReach(backend: Backend, { onUnreachable, onReached }: AddressObserver): void {
    const { host, port } = backend.address;
    if (!isDown(backend)) {
      if (unreachable.delete(backend)) onReached(formatHost(host, port));
    } else if (backend.lastError && !unreachable.has(backend)) {
      unreachable.add(backend);
      onUnreachable(formatHost(host, port), backend.lastError);
    }
  }

  const tellSilence = ({ address }: Backend): void => standings.tellSilence(addressKey(address));

  function judge(backend: Backend, verdict: Verdict, askedAt: number): void {
    if (verdict === 'good') {
      if (!backend.standing.good(askedAt)) return;
      observer?.onBack(formatHost(backend.address.host, backend.address.port));
      standings.tellChange();
    } else if (verdict === 'bad' || (verdict === 'refused' && isCovered(backend))) blame(backend, askedAt);
    else if (verdict === 'late' && performance.now() - askedAt >= LEAST_CHANCE_MS) {
      tellSilence(backend);
      // When this process has stood still its timers come first, and then what others were answered meanwhile.
      setImmediate(blame, backend, askedAt);
    }
  }

  function blame(backend: Backend, askedAt: number): void {
    const { standing } = backend;
    const isStill = standing.isHalfOpen;
    if (isClosed || !standing.bad(askedAt, () => isCovered(backend))) return;
    observer?.onLeftOut(formatHost(backend.address.host, backend.address.port), isStill);
    standings.tellChange();
  }

  // By any channel: one that has nothing to do does not open again what was closed.
  const isCovered = (backend: Backend) => standings.isCovered(addressKey(backend.address));

  /** Tries those out that it is time for, and sees to it that the others have their turn. */
  function tryOutDue(): void {
    clearTimeout(trialTimer);
    if (isClosed) return;
    let nextAt = Number.POSITIVE_INFINITY;
    for (const backend of current) {
      if (!isOut(backend) || isDown(backend)) continue;
      if (backend.standing.trialAt(isCovered(backend)) <= performance.now()) void hold(backend);
      nextAt = Math.min(nextAt, backend.standing.trialAt(isCovered(backend)));
    }
    if (nextAt === Number.POSITIVE_INFINITY) return;
    trialTimer = setTimeout(tryOutDue, Math.max(1, nextAt - performance.now())).unref();
  }

  async function hold(backend: Backend): Promise<void> {
    const { standing } = backend;
    standing.beginTrial();
    const isWell = await tryOut(onlyAt(backend)).catch(() => false);
    standing.endTrial(isWell, isCovered(backend));
    standings.tellChange();
  }

  const user = {
    onSilence(key: string) {
      for (const backend of [...current, ...retired]) if (addressKey(backend.address) === key) backend.probe();
    },
    isCovered: (key: string) =>
      current.some((other) => addressKey(other.address) !== key && !isDown(other) && !isOut(other)),
    onChange: callbacks.onChange,
  };
  standings.join(user);

  return {
    current: (): readonly Backend[] => current,
    isResolving: (): boolean => isResolving,

    /** Asks for names that may have changed. */
    keepUp(): void {
      if (isStale) resolve();
    },

    /** Asks for the names, unless it has just been done. */
    lookUp(): void {
      if (performance.now() - resolvedAt > RESOLVE_INTERVAL_MS) resolve();
    },

    /** Something has happened to a connection or to a circuit. */
    count,

    close(): void {
      isClosed = true;
      standings.leave(user);
      clearTimeout(staleTimer);
      clearTimeout(trialTimer);
      for (const backend of [...current, ...retired]) backend.close();
      for (const { address } of current) standings.release(addressKey(address));
    },
  };
}

export const isDown = ({ places: { size } }: Backend): boolean => size === 0;
export const isOut = ({ standing }: Backend): boolean => standing.isOut;

/** What all requests are addressed to; undefined when that depends on where they go. */
export function sharedAuthority(endpoints: readonly URL[]): string | undefined {
  const [first, ...others] = endpoints;
  return others.every(({ host }) => host === first!.host) ? first!.host : undefined;
}

export function formatHost(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
