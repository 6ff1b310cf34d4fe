import fc from 'fast-check';
import type { Draft, Header, Mutation } from './request.ts';
import { HEADER_LIMIT_BYTES, type World } from './world.ts';

const HEADERS: readonly (readonly [name: string, ...values: string[]])[] = [
  ['Content-Type', '', 'text/plain', 'application/json; charset=utf-16', 'APPLICATION/JSON', 'application/json;;;'],
  ['Content-Type', 'application/problem+json', 'application/*', '*/*', 'multipart/form-data; boundary=x', 'json'],
  ['Content-Type', 'application/json, text/plain', `application/json; a=${'b'.repeat(2_000)}`, '\xff/\xfe'],
  ['Content-Encoding', 'gzip', 'identity', 'br, gzip', '', 'nonsense', 'IDENTITY'],
  ['Range', 'bytes=', 'bytes=0-', 'bytes=-0', 'bytes=5-1', 'bytes=99999999999999999999-', 'bytes=0-1,2-3', 'lines=1-2'],
  ['Range', 'bytes=0-99999999999999999999', `bytes=${'0-1,'.repeat(500)}0-1`, 'bytes= 0 - 1', 'bytes=a-b', 'BYTES=0-1'],
  ['If-Range', '"x"', 'W/"x"', 'Wed, 21 Oct 2026 07:28:00 GMT', 'never', ''],
  ['If-None-Match', '*', '"', '"a" "b"', ',,,', `"${'a'.repeat(5_000)}"`, 'W/', '"\xff"', ''],
  ['If-Modified-Since', 'never', 'Wed, 21 Oct 2026 07:28:00 GMT', '0', 'Sat, 01 Jan 99999 00:00:00 GMT', ''],
  ['If-Match', '*', '"a"'],
  ['If-Unmodified-Since', 'Wed, 21 Oct 1926 07:28:00 GMT'],
  [
    'Last-Event-ID',
    '-1',
    '0',
    '1',
    '18446744073709551615',
    '18446744073709551616',
    '9223372036854775808',
    '01',
    'x',
    '',
  ],
  ['Idempotency-Key', '', '"', '"a', 'a b', 'x'.repeat(255), 'x'.repeat(256), '"\\x"', '\xe9', `"${'y'.repeat(256)}"`],
  ['Accept', '', '*/*', 'application/problem+json', 'text/html', 'nonsense', '\xff', `text/${'a'.repeat(3_000)}`],
  ['Accept', 'application/openmetrics-text', 'text/event-stream;q=0', 'application/json;q=0'],
  ['Accept-Encoding', 'gzip', 'gzip;q=0', '*', 'identity;q=0', 'br;q=1.0, *;q=0', ',,;;'],
  [
    'traceparent',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    'ff-0-0-0',
    '00-',
    '\xff',
    'x'.repeat(5_000),
  ],
  ['tracestate', 'a=b', '=', 'x'.repeat(600)],
  ['X-Request-Id', 'fine-1', '', 'a b', 'x'.repeat(128), 'x'.repeat(129), '\xe9', '../..', '"'],
  ['Origin', 'null', 'https://evil.test', '', 'https://[::1', '\xff', `https://${'a'.repeat(3_000)}.test`],
  ['Access-Control-Request-Method', 'POST', 'NONSENSE', ''],
  ['Cookie', 'a=b', `a=${'b'.repeat(6_000)}`],
  ['Expect', '100-continue', '200-ok', '', '100-CONTINUE, x'],
  ['Upgrade', 'websocket', 'h2c', 'TLS/1.0', 'nonsense'],
  ['Connection', 'Upgrade', 'keep-alive', 'close, Upgrade', 'x, y, authorization', 'HTTP2-Settings'],
  ['HTTP2-Settings', 'AAMAAABkAAQCAAAAAAIAAAAA'],
  [
    'Host',
    '',
    'a b',
    'a:99999',
    'a,b',
    '[::1',
    'http://a',
    'user@a',
    'a/b',
    '\xff',
    'x'.repeat(3_000),
    'A.TEST:80',
    'é',
  ],
  ['Forwarded', 'for="[2001:db8::1]:99";proto=https', 'for=', ';;;', `for=${'1,'.repeat(2_000)}`],
  ['X-Forwarded-For', '1.2.3.4', 'unknown', '1.2.3.4, ,,', '::1%eth0', '999.1.1.1', '1,'.repeat(2_000)],
  ['X-Forwarded-Host', 'evil.test'],
  ['X-HTTP-Method-Override', 'DELETE'],
  [
    'Stripe-Signature',
    't=1,v1=00',
    't=,v1=',
    'v1',
    `t=${'9'.repeat(400)},v1=a`,
    `t=1,${'v1=a,'.repeat(1_000)}`,
    '\xff',
  ],
  ['Keep-Alive', 'timeout=999999'],
  ['Te', 'trailers', 'gzip'],
  ['Max-Forwards', '0'],
  [
    'X-Odd',
    'a\tb',
    '\x80\x81\xff',
    'x'.repeat(HEADER_LIMIT_BYTES - 400),
    'x'.repeat(HEADER_LIMIT_BYTES),
    'x'.repeat(80_000),
  ],
  ['__proto__', 'x'],
  ['constructor', 'x'],
  ["!#$%&'*+-.^_`|~", 'x'],
];
const header: fc.Arbitrary<Header> = fc
  .constantFrom(...HEADERS)
  .chain(([name, ...values]) => fc.constantFrom(...values).map((value): Header => [name, value]));

export const headerMutation = fc.oneof(
  // In the place of its own.
  header.map(
    (added): Mutation =>
      (draft) => ({ ...draft, headers: [...without(draft, added[0]), added] }),
  ),
  // Beside it.
  header.map(
    (added): Mutation =>
      (draft) => ({ ...draft, headers: [...draft.headers, added] }),
  ),
  fc.nat(10).map((at): Mutation => {
    return (draft) => ({ ...draft, headers: draft.headers.filter((_, index) => index !== at % draft.headers.length) });
  }),
  fc.constantFrom(90, 99, 100, 101, 150, 2_100).map((count): Mutation => {
    const many = Array.from({ length: count }, (_, index): Header => [`X-${index}`, '']);
    return (draft) => ({ ...draft, headers: [...draft.headers, ...many] });
  }),
);

/** None, junk, another one, or one that is not good for it. */
export function credentialMutation({ tokens }: World): fc.Arbitrary<Mutation> {
  const { admin, key, readOnly, revoked } = tokens;
  const values = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${readOnly}`,
    `Bearer ${revoked}`,
    `bearer  ${key}`,
    `Bearer ${key} x`,
    `Bearer ${key}\xe9`,
    `Bearer ${key},Bearer ${key}`,
    `Basic ${Buffer.from(`admin:${admin}`).toString('base64')}`,
    'Basic',
    'Digest username="x"',
    `Bearer ffk_${'a'.repeat(43)}_000000`,
    `Bearer ${'x'.repeat(5_000)}`,
    'Bearer \x00',
    key,
  ];
  const change = fc.constantFrom(...values).map((value): Mutation => {
    return (draft) => ({
      ...draft,
      headers: [
        ...without(draft, 'Authorization'),
        ...(value === undefined ? [] : [['Authorization', value] as const]),
      ],
    });
  });
  const twice: Mutation = (draft) => ({ ...draft, headers: [...draft.headers, ['Authorization', `Bearer ${key}`]] });
  return fc.oneof({ weight: 8, arbitrary: change }, { weight: 1, arbitrary: fc.constant(twice) });
}

function without({ headers }: Draft, left: string): readonly Header[] {
  return headers.filter(([name]) => name.toLowerCase() !== left.toLowerCase());
}
