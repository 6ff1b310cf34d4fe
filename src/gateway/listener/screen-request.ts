import { GatewayError } from '../errors.ts';
import { PROBE_PATHS } from '../probe-paths.ts';
import { readHostName } from './host-name.ts';

const SLASH = 0x2f;
const HOST_LENGTH = 4;
/** How many hosts that were good are remembered. */
const KNOWN_HOSTS = 1_000;
const KNOWN_HOST_CHARS = 64;
const UPGRADE = /(?:^|[,\s])upgrade(?:[,\s]|$)/i;

/** What is looked at of a request. With HTTP/2, `host` is `:authority`. */
export interface ScreenedRequest {
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
}

interface ScreenLimits {
  /** In lower case; empty: any. */
  readonly allowedHosts: readonly string[];
  readonly urlBytes: number;
  readonly headerCount: number;
}

/**
 * Refuses what the parser lets through and the app should not have to think about: a strict reading of RFC 9112, and the
 * limits of a head. Undefined: the request may go on. It runs for each request, so it builds nothing for a good one.
 */
export function createScreenRequest({ allowedHosts, urlBytes, headerCount }: ScreenLimits) {
  const allowed = new Set(allowedHosts);
  const known = new Set<string>();

  // Kubelets and scrapers ask a pod by its address.
  function isAllowed(name: string | undefined, url: string): boolean {
    return allowed.size === 0 || (name !== undefined && allowed.has(name)) || PROBE_PATHS.has(url.split('?', 1)[0]!);
  }

  function refuseHost(host: unknown, url: string): GatewayError | undefined {
    const name = typeof host === 'string' ? readHostName(host) : undefined;
    if (name === undefined) return invalid('the Host header must be one host, with a port or without');
    if (!isAllowed(name, url)) return misdirected();
    if (allowed.size > 0 && !allowed.has(name)) return undefined;
    if (known.size >= KNOWN_HOSTS) known.clear();
    if ((host as string).length <= KNOWN_HOST_CHARS) known.add(host as string);
    return undefined;
  }

  return function screenRequest(incoming: ScreenedRequest): GatewayError | undefined {
    const { url = '', headers, rawHeaders, httpVersionMajor, httpVersionMinor } = incoming;
    if (rawHeaders.length > 2 * headerCount) {
      return new GatewayError('HEADERS_TOO_LARGE', `the request has more than ${headerCount} header fields`);
    }
    if (url.length > urlBytes) {
      return new GatewayError('URI_TOO_LONG', `the request target is longer than ${urlBytes} bytes`);
    }
    // A backslash is a slash to some, and so to hono no path at all.
    if (url.charCodeAt(0) !== SLASH || url.includes('#') || url.includes('\\')) {
      return invalid('the request target must be a path, which begins with a slash, and a query');
    }
    const { host, expect } = headers;
    const isHttp10 = httpVersionMajor === 1 && httpVersionMinor === 0;
    if (expect !== undefined && !isHttp10 && !/^100-continue$/i.test(expect as string)) {
      return new GatewayError('EXPECTATION_FAILED', 'Expect may be 100-continue, and nothing else');
    }
    // A request of HTTP/1.1 may say that it is of another version, but it cannot have such a field.
    if (httpVersionMajor !== 2 || headers[':method'] === undefined) {
      const framing = refuseFraming(incoming);
      if (framing) return framing;
      if (host === undefined && httpVersionMinor === 0) return isAllowed(undefined, url) ? undefined : misdirected();
      if (!isAlone(rawHeaders)) return invalid('the request must have one Host header');
    }
    return known.has(host as string) ? undefined : refuseHost(host, url);
  };
}

/** What says where the message ends, or that something else follows it. */
function refuseFraming({ headers, httpVersionMajor, httpVersionMinor }: ScreenedRequest): GatewayError | undefined {
  if (httpVersionMajor !== 1 || httpVersionMinor > 1) return invalid('the request must be of HTTP/1.1 or HTTP/1.0');
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && (httpVersionMinor === 0 || (coding as string).toLowerCase() !== 'chunked')) {
    return invalid('Transfer-Encoding must be chunked, in HTTP/1.1');
  }
  if (headers.upgrade !== undefined && UPGRADE.test(String(headers.connection))) {
    return invalid('the gateway does not change to another protocol: leave out the Upgrade header');
  }
  return undefined;
}

/** Node keeps the first of several Host headers, and proxies may have gone by the last. */
function isAlone(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (name.length === HOST_LENGTH && (name === 'Host' || name.toLowerCase() === 'host')) count++;
  }
  return count === 1;
}

function misdirected(): GatewayError {
  return new GatewayError('MISDIRECTED_REQUEST', 'this host is not served here');
}

function invalid(message: string): GatewayError {
  return new GatewayError('INVALID_ARGUMENT', message);
}
