import fc from 'fast-check';
import type { Fields } from '../../support/h2-frames.ts';

type Bend = (fields: Fields) => Fields;

const replace =
  (wanted: string, value: string): Bend =>
  (fields) =>
    fields.map(([name, old]) => [name, name === wanted ? value : old] as const);
const drop =
  (wanted: string): Bend =>
  (fields) =>
    fields.filter(([name]) => name !== wanted);
const append =
  (...more: Fields): Bend =>
  (fields) => [...fields, ...more];
const prepend =
  (...more: Fields): Bend =>
  (fields) => [...more, ...fields];

/** What can be wrong, or only odd, with the fields of a request, and not with its head of HTTP/1.1. */
export const BENDS: readonly Bend[] = [
  drop(':method'),
  drop(':scheme'),
  drop(':path'),
  drop(':authority'),
  (fields) => drop(':authority')([...fields, ['host', 'gateway.test']]),
  append(['host', 'gateway.test']),
  append(['host', 'other.test']),
  append(['host', 'GATEWAY.TEST:443']),
  append(['host', '']),
  (fields) => fields.toReversed(),
  (fields) => [...fields.slice(1), ...fields.slice(0, 1)],
  (fields) => [...fields.slice(0, 1), ...fields],
  prepend([':path', '/v1/healthz']),
  append([':path', '/v1/healthz']),
  append([':authority', 'gateway.test']),
  prepend([':status', '200']),
  prepend([':protocol', 'websocket']),
  prepend([':', '']),
  prepend([':unknown', 'x']),
  prepend([':PATH', '/']),
  replace(':scheme', ''),
  replace(':scheme', 'http'),
  replace(':scheme', 'ftp'),
  replace(':scheme', 'https://'),
  replace(':path', ''),
  replace(':path', '*'),
  replace(':path', 'v1/healthz'),
  replace(':path', 'https://gateway.test/v1/healthz'),
  replace(':path', '//gateway.test/v1/healthz'),
  replace(':path', '/v1/healthz HTTP/1.1\r\nX: y'),
  replace(':path', '/v1/healthz\0'),
  replace(':authority', ''),
  replace(':authority', 'user@gateway.test'),
  replace(':authority', 'a,b'),
  replace(':authority', 'gateway.test/x'),
  replace(':authority', 'gateway.test\r\nx: y'),
  replace(':method', ''),
  replace(':method', 'GET /v1/healthz HTTP/1.1\r\nHost: x\r\n\r\nGET'),
  replace(':method', 'CONNECT'),
  (fields) => fields.filter(([name]) => name !== ':path' && name !== ':scheme'),
  append(['connection', 'close']),
  append(['connection', 'x-odd'], ['x-odd', '1']),
  append(['proxy-connection', 'keep-alive']),
  append(['keep-alive', 'timeout=5']),
  append(['transfer-encoding', 'chunked']),
  append(['upgrade', 'h2c']),
  append(['te', 'trailers']),
  append(['te', 'gzip']),
  append(['te', 'trailers, gzip']),
  append(['content-length', '5']),
  append(['content-length', '-1']),
  append(['content-length', '99999999999999999999']),
  append(['content-length', '0'], ['content-length', '0']),
  append(['content-length', '0,0']),
  append(['content-length', '']),
  replace('content-length', '1'),
  replace('content-length', '+0'),
  drop('content-length'),
  append(['X-Upper', '1']),
  append(['Content-Length', '0']),
  append(['', 'x']),
  append([' ', 'x']),
  append(['x y', '1']),
  append(['x:', '1']),
  append(['x\0', '1']),
  append(['x\r\ny', '1']),
  append(['x-\xe9', '1']),
  append(['x-odd', 'a\r\nx-injected: 1']),
  append(['x-odd', 'a\nb']),
  append(['x-odd', 'a\0b']),
  append(['x-odd', ' a']),
  append(['x-odd', 'a\t']),
  append(['x-odd', '\x01\x7f']),
  append(['x-request-id', 'one'], ['x-request-id', 'two']),
  append(['cookie', 'a=b'], ['cookie', 'c=d']),
  append(['authorization', 'Bearer one'], ['authorization', 'Bearer two']),
  append(['expect', '100-continue']),
  append(['expect', 'magic']),
  append(['http2-settings', 'AAMAAABkAAQCAAAAAAIAAAAA']),
  append(['priority', 'u=9, i, x=("a" "b")']),
  append(['trailer', 'x-odd']),
  append(...Array.from({ length: 95 }, (_, index) => [`x-${index}`, ''] as const)),
  append(...Array.from({ length: 210 }, (_, index) => [`x-${index}`, ''] as const)),
  append(...Array.from({ length: 1_500 }, (_, index) => [`x-${index}`, ''] as const)),
  append(['x-odd', 'y'.repeat(16_000)]),
  append(['x-odd', 'y'.repeat(60_000)]),
  append(['x-a', 'y'.repeat(60_000)], ['x-b', 'y'.repeat(60_000)], ['x-c', 'y'.repeat(60_000)]),
];

export const bend: fc.Arbitrary<Bend> = fc.constantFrom(...BENDS.keys()).map((index) => BENDS[index]!);
