import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Address } from './open-socket.ts';

/** All addresses behind the names of `endpoints` (http:// or https://), each once. Rejects when no name has any. */
export async function resolveAddresses(endpoints: readonly URL[]): Promise<Address[]> {
  const results = await Promise.allSettled(endpoints.map(resolveEndpoint));
  const addresses = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  const failure = results.find((result) => result.status === 'rejected');
  if (addresses.length === 0 && failure) throw failure.reason;
  return [...new Map(addresses.map((address) => [addressKey(address), address])).values()];
}

export function addressKey({ host, port, tlsName = '' }: Address): string {
  return `${host} ${port} ${tlsName}`;
}

async function resolveEndpoint({ hostname, port, protocol }: URL): Promise<Address[]> {
  const isTls = protocol === 'https:';
  const name = hostname.replace(/^\[(.*)\]$/, '$1');
  const number = port === '' ? (isTls ? 443 : 80) : Number(port);
  const hosts = isIP(name) ? [name] : (await lookup(name, { all: true })).map(({ address }) => address);
  return hosts.map((host) => ({ host, port: number, tlsName: isTls ? name : undefined }));
}
