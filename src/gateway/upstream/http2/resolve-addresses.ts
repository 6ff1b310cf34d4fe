import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Address } from './open-socket.ts';

/**
 * Looks up all addresses behind the names of `endpoints` (http:// or https://), each once. A name that cannot be looked up
 * keeps the addresses that it had; rejects when no name has any.
 */
export function createResolver(endpoints: readonly URL[]) {
  const known = new Map<URL, readonly Address[]>();

  return {
    /** Whether there is something to look up: numbers do not change. */
    hasNames: endpoints.some(({ hostname }) => isIP(plainHost(hostname)) === 0),

    async resolve(): Promise<Address[]> {
      const results = await Promise.allSettled(
        endpoints.map(async (endpoint) => known.set(endpoint, await resolveEndpoint(endpoint))),
      );
      const addresses = endpoints.flatMap((endpoint) => known.get(endpoint) ?? []);
      const failure = results.find((result) => result.status === 'rejected');
      if (addresses.length === 0 && failure) throw failure.reason;
      return [...new Map(addresses.map((address) => [addressKey(address), address])).values()];
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
