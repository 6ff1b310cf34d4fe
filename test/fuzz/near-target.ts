import fc from 'fast-check';
import { LENGTHS, NUMBERS, ODD_TEXTS } from './odd-values.ts';
import type { Mutation } from './request.ts';
import { HEADER_LIMIT_BYTES, URL_LIMIT_BYTES } from './world.ts';

const QUERY_NUMBERS = [...NUMBERS, '', ' 5', '+5', '05', '0x10', '５', '1_000', 'NaN', 'Infinity', '5;6', '5,6', '[5]'];
const oddQuery = fc.oneof(
  fc.constantFrom(...QUERY_NUMBERS).map(encodeURIComponent),
  fc.constantFrom(...ODD_TEXTS.filter((text) => text.isWellFormed())).map(encodeURIComponent),
  fc.constantFrom('%', '%zz', '%ff', '%ed%a0%80', '%00', '%2', 'a+b', 'a%2Bb', '%C0%AF', '\xe9', '"<>`{}|^\\', '[]'),
  fc.constantFrom(...LENGTHS).map((length) => 'x'.repeat(length)),
);
const QUERY_NAMES = [
  'wait',
  'page_size',
  'page_token',
  'state',
  'label',
  'limit',
  'last_event_id',
  'ticket',
  'heartbeat',
  'token',
  'from',
  '',
  'page_size[]',
  'label[0]',
  '__proto__',
  'constructor',
  'wait%00',
  '%77ait',
  'x'.repeat(1_000),
];
export const queryMutation = fc.oneof(
  fc.tuple(fc.constantFrom(...QUERY_NAMES), oddQuery).map(([name, value]): Mutation => {
    return (draft) => ({ ...draft, query: [...draft.query, [name, value]] });
  }),
  fc.tuple(fc.nat(10), oddQuery).map(([at, value]): Mutation => {
    return (draft) => ({
      ...draft,
      query: draft.query.map(([name, old], index) => [name, index === at % draft.query.length ? value : old] as const),
    });
  }),
  fc.nat(10).map((at): Mutation => {
    return (draft) => {
      const again = draft.query[at % draft.query.length];
      return again ? { ...draft, query: [...draft.query, again] } : draft;
    };
  }),
);

const PATH_CHANGES: readonly ((path: string) => string)[] = [
  (path) => `${path}/`,
  (path) => `/${path}`,
  (path) => path.replaceAll('/', '//'),
  (path) => `/.${path}`,
  (path) => `/x/..${path}`,
  (path) => `${path}/..`,
  (path) => `${path}/%2e%2e`,
  (path) => `${path}/../../../..`,
  (path) => path.replace(/.$/, '%'),
  (path) => path.replace(/.$/, '%zz'),
  (path) => path.replace(/.$/, '%00'),
  (path) => path.replace(/.$/, '%ff'),
  (path) => path.replace(/.$/, '%2f'),
  (path) => path.replace(/.$/, '%252f'),
  (path) => path.replace(/.$/, (last) => `%${last.charCodeAt(0).toString(16)}`),
  (path) => path.replaceAll('/', '%2F'),
  (path) => path.replaceAll('/', '\\'),
  (path) => path.toUpperCase(),
  (path) => `${path};version=1`,
  (path) => `${path}\xe9`,
  (path) => `${path}#fragment`,
  (path) => `${path}?`,
  (path) => `${path}??a=1`,
  (path) => `${path}?&&==`,
  (path) => `${path} x`,
  (path) => `${path}\t`,
  (path) => `${path}"<>^{}|`,
  (path) => path.slice(1),
  (path) => `http://gateway.test${path}`,
  (path) => `https://other.test:99${path}`,
  (path) => `http://user:password@gateway.test${path}`,
  (path) => `http://[::1${path}`,
  () => '*',
  () => '',
  () => '/',
  () => '//',
  () => '///a//',
  () => 'gateway.test:443',
  (path) => path.replace(/[^/]*$/, 'x'.repeat(128)),
  (path) => path.replace(/[^/]*$/, 'x'.repeat(129)),
  (path) => `${path}/${'y'.repeat(2_000)}`,
  (path) => path.padEnd(URL_LIMIT_BYTES, 'z'),
  (path) => path.padEnd(URL_LIMIT_BYTES + 1, 'z'),
  (path) => path.padEnd(2 * HEADER_LIMIT_BYTES, 'z'),
];
export const pathMutation = fc.constantFrom(...PATH_CHANGES.keys()).map(
  (index): Mutation =>
    (draft) => ({ ...draft, path: PATH_CHANGES[index]!(draft.path) }),
);

export const methodMutation = fc
  .constantFrom(
    'GET',
    'HEAD',
    'OPTIONS',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'TRACE',
    'CONNECT',
    'PROPFIND',
    'QUERY',
    'get',
    'FOO',
    'G=T',
  )
  .map(
    (method): Mutation =>
      (draft) => ({ ...draft, method }),
  );
