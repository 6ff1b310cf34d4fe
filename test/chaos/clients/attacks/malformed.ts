import { type Field, flood } from '../field.ts';

const CONNECTIONS = 64;
const HOST = 'Host: gateway.test\r\n';
const SMUGGLED = 'GET /v1/workflows HTTP/1.1\r\nHost: gateway.test\r\n\r\n';
const POST = `POST /v1/workflows HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n`;
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
const get = (fields: string): string => `GET /v1/healthz HTTP/1.1\r\n${fields}\r\n`;

/** What is no HTTP/1.1 request, or one that two parsers could read in two ways (RFC 9112). */
const MALFORMED: readonly string[] = [
  `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  `${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ${SMUGGLED}`,
  `${POST}Content-Length: 5, 6\r\n\r\n{}   `,
  `${POST}Content-Length: -1\r\n\r\n`,
  `${POST}Content-Length: +5\r\n\r\n{}   `,
  `${POST}Content-Length: 0x5\r\n\r\n{}   `,
  `${POST}Content-Length: 99999999999999999999999\r\n\r\n`,
  `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  `${POST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n`,
  `${CHUNKED}zz\r\n{}\r\n0\r\n\r\n`,
  `${CHUNKED}-1\r\n{}\r\n0\r\n\r\n`,
  `${CHUNKED}ffffffffffffffffff\r\n{}\r\n0\r\n\r\n`,
  `${CHUNKED}2 \r\n{}\r\n0\r\n\r\n`,
  `${CHUNKED}2\n{}\n0\n\n`,
  `${CHUNKED}2\r\n{}XX0\r\n\r\n`,
  `${CHUNKED}2;${'x'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`,
  `${CHUNKED}0\r\n${'X-Trailer: a\r\n'.repeat(2_000)}\r\n`,
  `GET /v1/healthz HTTP/1.1\n${HOST.trim()}\n\n`,
  `GET /v1/healthz HTTP/1.1\r${HOST.trim()}\r\r`,
  get(`${HOST}X-Folded: a\r\n b\r\n`),
  get(`${HOST}X-Spaced : a\r\n`),
  get(`${HOST}X-Null: a\0b\r\n`),
  get(`${HOST}X-Controls: a\x01\x7fb\r\n`),
  get(`${HOST}X Name: a\r\n`),
  get(`${HOST}: empty\r\n`),
  get(`${HOST}no colon\r\n`),
  get(''),
  get(`${HOST}Host: other.test\r\n`),
  get('Host: a b/c@d\r\n'),
  get(`${HOST}${'X-Many: a\r\n'.repeat(500)}`),
  get(`${HOST}${'X-Many: a\r\n'.repeat(5_000)}`),
  get(`${HOST}Expect: 200-maybe\r\n`),
  get(`${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`),
  get(`${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`),
  `GET http://other.test/v1/healthz HTTP/1.1\r\n${HOST}\r\n`,
  `CONNECT other.test:443 HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/health\0z HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/healthz HTTP/9.9\r\n${HOST}\r\n`,
  `GET  /v1/healthz HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/healthz\r\n\r\n`,
  `get /v1/healthz HTTP/1.1\r\n${HOST}\r\n`,
  `${'G'.repeat(5_000)} / HTTP/1.1\r\n${HOST}\r\n`,
  `GET /%zz%00/../..//v1/workflows HTTP/1.1\r\n${HOST}\r\n`,
  `${POST}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0`,
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  '\0'.repeat(1_000),
  '\r\n'.repeat(10_000),
];

/** All of them in turn, in an order of the seed, each on a connection of its own. */
export function malformed(field: Field): void {
  const bytes = MALFORMED.map((text) => Buffer.from(text, 'latin1'));
  // What gets no answer and is not closed would keep its connection: it is left after a while, as a scanner does.
  flood(field, CONNECTIONS, () => field.seeded.pick(bytes), { reconnect: true, patienceMs: 1_000 });
}
