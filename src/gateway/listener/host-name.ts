import { isIPv4, isIPv6 } from 'node:net';

/** A port, where there is one. */
const PORT = /:(\d{1,5})$/;
const NAME = /^[a-z0-9_][a-z0-9._-]*$/;
/** What a URL takes for an address, however odd (WHATWG URL, "ends in a number"). */
const NUMERIC = /(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/;

/**
 * The name in a Host header (RFC 9112, section 3.2), in lower case, without the port and with the brackets of IPv6. Undefined
 * when it is none: no user, path, space or escaped character, and no other way to write an address than the usual one.
 */
export function readHostName(host: string): string | undefined {
  const port = PORT.exec(host);
  if (port && (Number(port[1]) > 65_535 || Number(port[1]) === 0)) return undefined;
  const name = (port ? host.slice(0, port.index) : host).toLowerCase();
  if (name.startsWith('[')) return name.endsWith(']') && isPlainIPv6(name.slice(1, -1)) ? name : undefined;
  if (name.length > 253 || !NAME.test(name)) return undefined;
  return !NUMERIC.test(name) || isIPv4(name) ? name : undefined;
}

function isPlainIPv6(address: string): boolean {
  return isIPv6(address) && !address.includes('%') && new URL(`http://[${address}]`).hostname === `[${address}]`;
}
