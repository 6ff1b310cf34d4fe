import { BlockList, isIP, isIPv6, SocketAddress } from 'node:net';

/** Of a client that had left before anybody asked. */
const UNKNOWN = 'unknown';
const MAPPED = '::ffff:';

interface AskedRequest {
  readonly socket: { readonly remoteAddress?: string | undefined } | null;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface ClientAddress {
  /** The address of a trusted proxy. */
  readonly isTrusted: (address: string) => boolean;
  /** Where a request comes from: an IP address as text, or `unknown`. */
  readonly read: (incoming: AskedRequest) => string;
}

/**
 * Learns who is behind the proxies in `networks` (`address/bits`): the last address in X-Forwarded-For, or else in Forwarded
 * (RFC 7239), that is none of theirs. Where one of them says something that is no address, the last one before it is taken.
 * What anybody else says is not even read.
 */
export function createClientAddress(networks: readonly string[]): ClientAddress {
  const trusted = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    trusted.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  const isTrusted = (address: string) =>
    networks.length > 0 && isIP(address) !== 0 && trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

  return {
    isTrusted,

    read({ socket, headers }) {
      let client = plainAddress(socket?.remoteAddress);
      if (!isTrusted(client)) return client;
      const forwardedFor = headers['x-forwarded-for'];
      const text = forwardedFor ?? headers.forwarded;
      if (typeof text !== 'string') return client;
      const readAddress = forwardedFor === undefined ? readForwarded : readNode;
      for (const element of elementsFromTheRight(text)) {
        const address = readAddress(element.trim());
        if (address === undefined) return client;
        client = address;
        if (!isTrusted(client)) return client;
      }
      return client;
    },
  };
}

/** What limits are counted by: an IPv4 address, or the network of an IPv6 one, as each of its users has 2^64 addresses. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail ? tail.split(':') : [];
  const groups = tail === undefined ? first : [...first, ...Array(8 - first.length - last.length).fill('0'), ...last];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** An IPv4 address as such, where IPv6 sockets have it. */
function unmap(address: string): string {
  const isMapped = address.startsWith(MAPPED) && address.includes('.');
  return isMapped ? address.slice(MAPPED.length) : address;
}

/** The address that a socket has for its other end, as `isTrusted` and `networkOf` take it; `unknown` if it has none. */
export function plainAddress(remoteAddress = UNKNOWN): string {
  const zone = remoteAddress.indexOf('%');
  return unmap(zone < 0 ? remoteAddress : remoteAddress.slice(0, zone));
}

/** Those of a list, the last first: whatever is wrong further left, a stranger may have written. */
function* elementsFromTheRight(text: string): Generator<string> {
  let end = text.length;
  let isQuoted = false;
  for (let at = text.length - 1; at >= 0; at--) {
    if (text[at] === '"' && text[at - 1] !== '\\') isQuoted = !isQuoted;
    if (text[at] !== ',' || isQuoted) continue;
    yield text.slice(at + 1, end);
    end = at;
  }
  yield text.slice(0, end);
}

const FOR = /(?:^|;)[ \t]*for=(?:"([^"\\]*)"|([^"; \t]*))[ \t]*(?:;|$)/i;

function readForwarded(element: string): string | undefined {
  const [, quoted, bare] = FOR.exec(element) ?? [];
  return readNode(quoted ?? bare ?? '');
}

const NODE = /^(?:\[([0-9a-f:.]+)\](?::\d{1,5})?|(\d[\d.]*)(?::\d{1,5})?|([0-9a-f:.]+))$/i;

/** An address, in brackets and with a port or without; undefined: it is hidden, unknown or none. */
function readNode(text: string): string | undefined {
  const [, bracketed, plain, bare] = NODE.exec(text) ?? [];
  const address = bracketed ?? plain ?? bare ?? '';
  const version = isIP(address);
  if (version === 0 || (bracketed !== undefined && version !== 6)) return undefined;
  if (version === 4) return address;
  // One way to write each: they are compared, and counted.
  return unmap(new SocketAddress({ address, family: 'ipv6' }).address);
}
