import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Address } from './open-socket.ts';

/** Bound of a question for a name: whoever has no address waits for the answer. */
const ANSWER_MS = 3_000;

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
 * keeps the addresses that it had; rejects when no name has any. A name without an answer in time cannot be looked up until
 * the answer comes: it is not asked for again meanwhile, because each question keeps a thread of the system busy.
 */
export function createResolver(endpoints: readonly URL[], { onFound, onFailure, onSuccess }: NameObserver) {
  const known = new Map<URL, readonly Address[]>();
  const overdue = new Set<URL>();

  function all(): Address[] {
    const addresses = endpoints.flatMap((endpoint) => known.get(endpoint) ?? []);
    return [...new Map(addresses.map((address) => [addressKey(address), address])).values()];
  }

  function found(endpoint: URL, addresses: readonly Address[]): void {
    known.set(endpoint, addresses);
    onSuccess(endpoint.hostname);
    onFound(all());
  }

  async function resolve(endpoint: URL): Promise<Error | undefined> {
    try {
      if (overdue.has(endpoint)) throw noAnswer();
      const asked = resolveEndpoint(endpoint);
      const addresses = await inTime(asked);
      if (!addresses) {
        awaitAnswer(endpoint, asked);
        throw noAnswer();
      }
      found(endpoint, addresses);
    } catch (error) {
      onFailure(endpoint.hostname, error as Error);
      return error as Error;
    }
    return undefined;
  }

  function awaitAnswer(endpoint: URL, asked: Promise<readonly Address[]>): void {
    overdue.add(endpoint);
    asked
      .then(
        (addresses) => found(endpoint, addresses),
        (error) => onFailure(endpoint.hostname, error),
      )
      .finally(() => overdue.delete(endpoint));
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

function noAnswer(): Error {
  return new Error(`no answer within ${ANSWER_MS} ms`);
}

/** Undefined when it takes too long. */
async function inTime<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ANSWER_MS, undefined).unref();
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
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
