import type { Fields } from '../../support/h2-frames.ts';
import type { Request } from '../request.ts';
import { HEADER_LIMIT_BYTES } from '../world.ts';

export const AUTHORITY = 'gateway.test';
/** What a field counts besides its characters (RFC 9113, section 6.5.2). */
const FIELD_OVERHEAD_BYTES = 32;
/** From twice as many on as may be, there is no answer. */
const MAX_FIELDS = 200;
/** A longer field, or a head in more frames than a few, costs a client its connection. */
const MAX_LITERAL_BYTES = 65_000;
const MAX_HEAD_BYTES = 131_072;

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const FIELD_VALUE = /^(?:[!-~\x80-\xff](?:[\t !-~\x80-\xff]*[!-~\x80-\xff])?)?$/;
const OF_A_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
const PSEUDO = new Set([':method', ':scheme', ':authority', ':path']);

/** The fields of a request: `:authority` is what its Host says. */
export function fieldsOf({ method, target, headers, body }: Request): Fields {
  const isHost = ([name]: readonly [string, string]) => name.toLowerCase() === 'host';
  const [host, ...otherHosts] = headers.filter(isHost);
  const others = headers.filter((header) => !isHost(header));
  const hasLength = others.some(([name]) => name.toLowerCase() === 'content-length');
  const needsLength = body.length > 0 || ['POST', 'PUT', 'PATCH'].includes(method);
  return [
    [':method', method],
    [':scheme', 'https'],
    [':authority', host?.[1] ?? AUTHORITY],
    [':path', target],
    ...(needsLength && !hasLength ? [['content-length', String(body.length)] as const] : []),
    ...otherHosts.map(([, value]) => ['host', value] as const),
    ...others.map(([name, value]) => [name.toLowerCase(), value] as const),
  ];
}

/**
 * `malformed`: must not be served (RFC 9113, section 8.1.1). `odd`: may be refused without an answer. `fatal`: may cost the
 * whole connection. `good`: must have an answer.
 */
export type Standing = 'good' | 'odd' | 'malformed' | 'fatal';

/** What a request with these fields and a body of so many bytes is. */
export function judge(fields: Fields, bodyBytes: number): Standing {
  const headBytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length + FIELD_OVERHEAD_BYTES, 0);
  const isFatal =
    headBytes > MAX_HEAD_BYTES || fields.some(([name, value]) => name.length + value.length > MAX_LITERAL_BYTES);
  // Of a body that is longer than it says node:http2 takes it that nothing else on the connection can be right.
  const length = fields.find(([name]) => name === 'content-length')?.[1];
  if (isFatal || (length !== undefined && Number(length) < bodyBytes)) return 'fatal';
  if (isMalformed(fields, bodyBytes)) return 'malformed';
  const isLarge = headBytes > HEADER_LIMIT_BYTES || fields.length > MAX_FIELDS;
  return isLarge || isOdd(fields) ? 'odd' : 'good';
}

function isMalformed(fields: Fields, bodyBytes: number): boolean {
  const regularAt = fields.findIndex(([name]) => !name.startsWith(':'));
  const pseudo = fields.filter(([name]) => name.startsWith(':'));
  const of = (wanted: string) => fields.filter(([name]) => name === wanted).map(([, value]) => value);
  const isBadField = ([name, value]: readonly [string, string]) =>
    (/[A-Z]/.test(name) && FIELD_NAME.test(name.toLowerCase())) ||
    OF_A_CONNECTION.has(name) ||
    (name === 'te' && value !== 'trailers') ||
    (name.startsWith(':') && /[\0\r\n]/.test(value));
  if (fields.some(isBadField)) return true;
  if (regularAt >= 0 && fields.slice(regularAt).some(([name]) => name.startsWith(':'))) return true;
  if (pseudo.some(([name]) => !PSEUDO.has(name) || of(name).length > 1)) return true;
  const [[method], [scheme], [path]] = [of(':method'), of(':scheme'), of(':path')];
  const isTunnel = method === 'CONNECT';
  if (method === undefined || method === '') return true;
  if (isTunnel && (scheme !== undefined || path !== undefined)) return true;
  if (!isTunnel && (scheme === undefined || path === undefined)) return true;
  if (!isTunnel && !path!.startsWith('/') && !(method === 'OPTIONS' && path === '*')) return true;
  const lengths = of('content-length');
  return lengths.length > 1 || (lengths[0] !== undefined && Number(lengths[0]) !== bodyBytes);
}

/**
 * What a careful server may also refuse so: octets that have no place there, or two names of the host. A field that cannot be
 * one belongs to what is malformed, but node:http2 has it left out, and says nothing of it.
 */
function isOdd(fields: Fields): boolean {
  const of = (wanted: string) => fields.filter(([name]) => name === wanted).map(([, value]) => value);
  const hosts = new Set([...of('host'), ...of(':authority')].map((host) => host.toLowerCase()));
  const hasHost = of('host').length > 0;
  const scheme = of(':scheme')[0] ?? 'https';
  return (
    hosts.size !== 1 ||
    hasHost ||
    [...hosts].some((host) => !/^[a-z0-9._~:[\]-]+$/.test(host)) ||
    scheme !== 'https' ||
    fields.some(([name, value]) => !FIELD_NAME.test(name.replace(/^:/, '')) || !FIELD_VALUE.test(value)) ||
    of(':path').some((path) => /[^!-~\x80-\xff]|#/.test(path)) ||
    of(':method').some((method) => !/^[A-Z]+$/.test(method)) ||
    of('content-length').some((length) => !/^\d+$/.test(length)) ||
    of('authorization').length > 1
  );
}
