import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Address } from './open-socket.ts';

/** What is told of names while they are looked up. */
export interface NameObserver {
  /** All addresses that are known by now: whoever is found first need not wait for a name that is slow. */
  onFound(addresses: readonly Address[]): void;
  /** A name cannot be looked up; again and again it is told each time. */
  onFailure(name: string, error: Error): void;
  onSuccess(name: string): void;
}

/**
 * Looks up all addresses behind the names of `endpoints` (http:// or https://), each once. A name that cannot be looked up
 * keeps the addresses that it had; rejects when no name has any.
 */
export function createResolver(endpoints: readonly URL[], { onFound, onFailure, onSuccess }: NameObserver) {
  const known = new Map<URL, readonly Address[]>();

  function all(): Address[] {
    const addresses = endpoints.flatMap((endpoint) => known.get(endpoint) ?? []);
    return [...new Map(addresses.map((address) => [addressKey(address), address])).values()];
  }

  async function resolve(endpoint: URL): Promise<Error | undefined> {
    try {
      known.set(endpoint, await resolveEndpoint(endpoint));
    } catch (error) {
      onFailure(endpoint.hostname, error as Error);
      return error as Error;
    }
    onSuccess(endpoint.hostname);
    onFound(all());
    return undefined;
  }

  return {
    /** Whether there is something to look up: numbers do not change. */
    hasNames: endpoints.some(({ hostname }) => isIP(plainHost(hostname)) === 0),

    async resolve(): Promise<void> {
      const failures = await Promise.all(endpoints.map(resolve));
      if (known.size === 0) throw failures[0];
    },
  };
}

export function addressKey({ host, port, tlsName = '' }: Address): string {
  return `${host} ${port} ${tlsName}`;
}

async function resolveEndpoint({ hostname, port, protocol, host: authority }: URL): Promise<Address[]> {
  const isTls = protocol === 'https:';
  const name = plainHost(hostname);
  const number = port === '' ? (isTls ? 443 : 80) : Number(port);
  const hosts = isIP(name) ? [name] : (await lookup(name, { all: true })).map(({ address }) => address);
  return hosts.map((host) => ({ host, port: number, tlsName: isTls ? name : undefined, authority }));
}

function plainHost(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}
