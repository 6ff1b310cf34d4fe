import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { CONTRACT, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { readSeries } from '../support/read-series.ts';
import { until, within } from '../support/waiting.ts';

const HOST = 'Host: gateway.test\r\n';
const SUBMIT = `POST /v1/workflows HTTP/1.1\r\n${HOST}Authorization: Bearer dev-token\r\nContent-Type: application/json\r\n`;
const CHUNKED = `${SUBMIT}Transfer-Encoding: chunked\r\n\r\n`;
/** What a smuggler wants to have answered. */
const SECOND = `GET /v1/healthz HTTP/1.1\r\n${HOST}X-Request-Id: smuggled\r\n\r\n`;
const ENDS_A_LINE = '\r\n';

const head = (lines: string, start = 'GET /v1/healthz HTTP/1.1') => `${start}\r\n${lines}\r\n${SECOND}`;

/** What is sent, as it stands, and the status that it is answered with. */
const MALFORMED: Readonly<Record<string, readonly [bytes: string, status: number]>> = {
  'both Content-Length and Transfer-Encoding': [
    `${SUBMIT}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SECOND}`,
    400,
  ],
  'both, the other way round': [
    `${SUBMIT}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SECOND}`,
    400,
  ],
  'two different Content-Lengths': [`${SUBMIT}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ${SECOND}`, 400],
  'one Content-Length twice': [`${SUBMIT}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}${SECOND}`, 400],
  'a list of Content-Lengths': [`${SUBMIT}Content-Length: 2, 2\r\n\r\n{}${SECOND}`, 400],
  'a Content-Length with a sign': [`${SUBMIT}Content-Length: +2\r\n\r\n{}${SECOND}`, 400],
  'a Content-Length beyond 64 bits': [`${SUBMIT}Content-Length: 99999999999999999999\r\n\r\n{}${SECOND}`, 400],
  'an empty Content-Length': [`${SUBMIT}Content-Length:\r\n\r\n{}${SECOND}`, 400],
  'compressed chunks': [`${SUBMIT}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${SECOND}`, 400],
  'chunked twice': [`${SUBMIT}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SECOND}`, 400],
  'a coding that is not chunked': [`${SUBMIT}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SECOND}`, 400],
  'a coding with a control character': [`${SUBMIT}Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n${SECOND}`, 400],
  'chunks in HTTP/1.0': [`${SUBMIT.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SECOND}`, 400],
  'lines that end in LF': [`GET /v1/healthz HTTP/1.1\n${HOST}\n${SECOND}`, 400],
  'a field that ends in LF': [head(`${HOST}A: b\nC: d\r\n`), 400],
  'a head that ends in LF': [`GET /v1/healthz HTTP/1.1\r\n${HOST}\n${SECOND}`, 400],
  'a CR within a field': [head(`${HOST}A: b\rC: d\r\n`), 400],
  'a folded field': [head(`${HOST}A: b\r\n c\r\n`), 400],
  'a folded first field': [head(` ${HOST}`), 400],
  'a space before the colon': [head(`${HOST}A : b\r\n`), 400],
  'a field without a name': [head(`${HOST}: b\r\n`), 400],
  'a field without a colon': [head(`${HOST}A\r\n`), 400],
  'NUL in a field': [head(`${HOST}A: b\0c\r\n`), 400],
  'a control character in a field': [head(`${HOST}A: b\u0001c\r\n`), 400],
  'DEL in a field': [head(`${HOST}A: b\u007fc\r\n`), 400],
  'a chunk size that is none': [`${CHUNKED}zz\r\n${SECOND}`, 400],
  'a negative chunk size': [`${CHUNKED}-1\r\n\r\n${SECOND}`, 400],
  'a chunk size with 0x': [`${CHUNKED}0x2\r\n{}\r\n0\r\n\r\n${SECOND}`, 400],
  'a chunk size and a space': [`${CHUNKED}2 \r\n{}\r\n0\r\n\r\n${SECOND}`, 400],
  'a chunk size beyond 64 bits': [`${CHUNKED}fffffffffffffffff\r\n{}\r\n0\r\n\r\n${SECOND}`, 400],
  'chunks that end in LF': [`${CHUNKED}2\n{}\n0\n\n${SECOND}`, 400],
  'a chunk that is longer than it says': [`${CHUNKED}2\r\n{}}\r\n0\r\n\r\n${SECOND}`, 400],
  'an extension with LF': [`${CHUNKED}2;a\nb\r\n{}\r\n0\r\n\r\n${SECOND}`, 400],
  'an extension with NUL': [`${CHUNKED}2;a=\0\r\n{}\r\n0\r\n\r\n${SECOND}`, 400],
  'a very long extension': [`${CHUNKED}2;a=${'b'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n${SECOND}`, 400],
  'a trailer that is none': [`${CHUNKED}2\r\n{}\r\n0\r\nX A: b\r\n\r\n${SECOND}`, 400],
  'a Content-Length as trailer': [`${CHUNKED}2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n${SECOND}`, 400],
  'very long trailers': [`${CHUNKED}2\r\n{}\r\n0\r\nA: ${'b'.repeat(20_000)}\r\n\r\n${SECOND}`, 431],
  'no Host': [head(''), 400],
  'two Hosts': [head(`${HOST}Host: other.test\r\n`), 400],
  'one Host twice': [head(`${HOST}${HOST}`), 400],
  'an empty Host': [head('Host:\r\n'), 400],
  'a user in the Host': [head('Host: user@gateway.test\r\n'), 400],
  'a path in the Host': [head('Host: gateway.test/v1\r\n'), 400],
  'a space in the Host': [head('Host: gateway test\r\n'), 400],
  'two in the Host': [head('Host: gateway.test, other.test\r\n'), 400],
  'a port that is none': [head('Host: gateway.test:http\r\n'), 400],
  'a port beyond all': [head('Host: gateway.test:65536\r\n'), 400],
  'an address that is none': [head('Host: 1.2.3.256\r\n'), 400],
  'half an IPv6 address': [head('Host: [::1\r\n'), 400],
  'absolute-form': [head(HOST, 'GET http://gateway.test/v1/healthz HTTP/1.1'), 400],
  'authority-form': [head(HOST, 'GET gateway.test:80 HTTP/1.1'), 400],
  'asterisk-form': [head(HOST, 'OPTIONS * HTTP/1.1'), 400],
  'no slash': [head(HOST, 'GET v1/healthz HTTP/1.1'), 400],
  'a fragment': [head(HOST, 'GET /v1/healthz#x HTTP/1.1'), 400],
  'NUL in the target': [head(HOST, 'GET /v1/\0healthz HTTP/1.1'), 400],
  'a space in the target': [head(HOST, 'GET /v1/health z HTTP/1.1'), 400],
  'a letter beyond ASCII in the target': [head(HOST, 'GET /v1/h\u00e9althz HTTP/1.1'), 400],
  CONNECT: [head(HOST, 'CONNECT gateway.test:443 HTTP/1.1'), 400],
  'CONNECT and a path': [head(HOST, 'CONNECT /v1/healthz HTTP/1.1'), 400],
  'a method that nobody knows': [head(HOST, 'FOO /v1/healthz HTTP/1.1'), 400],
  'a method in small letters': [head(HOST, 'get /v1/healthz HTTP/1.1'), 400],
  'HTTP/0.9': [head(HOST, 'GET /v1/healthz HTTP/0.9'), 400],
  'HTTP/1.2': [head(HOST, 'GET /v1/healthz HTTP/1.2'), 400],
  'HTTP/2.0': [head(HOST, 'GET /v1/healthz HTTP/2.0'), 400],
  'the preface of HTTP/2': [`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${SECOND}`, 400],
  'a TLS handshake': ['\u0016\u0003\u0001\u0002\0\u0001\0\u0001\u00fc\u0003\u0003', 400],
  'an upgrade to a WebSocket': [
    head(
      `${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`,
    ),
    400,
  ],
  'an upgrade to h2c': [
    head(
      `${HOST}Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`,
    ),
    400,
  ],
  'an upgrade of a submission': [
    `${SUBMIT}Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}${SECOND}`,
    400,
  ],
  'an expectation': [`${SUBMIT}Expect: a miracle\r\nContent-Length: 2\r\n\r\n{}${SECOND}`, 417],
  'two expectations': [`${SUBMIT}Expect: 100-continue, a miracle\r\nContent-Length: 2\r\n\r\n{}${SECOND}`, 417],
  'a long target': [head(HOST, `GET /${'a'.repeat(8_192)} HTTP/1.1`), 414],
  'a target that is longer than a head may be': [head(HOST, `GET /${'a'.repeat(30_000)} HTTP/1.1`), 414],
  'a long field': [head(`${HOST}A: ${'b'.repeat(30_000)}\r\n`), 431],
  'a field too many': [head(`${HOST}${'A: b\r\n'.repeat(100)}`), 431],
  'many fields too many': [head(`${HOST}${'A:\r\n'.repeat(1_000)}`), 431],
};

interface Heard {
  readonly statuses: readonly number[];
  readonly text: string;
}

describe('what is no request of HTTP/1.1', () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway();
  });
  after(() => gateway.close());

  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  ajv.addSchema(CONTRACT.document(), 'openapi.yaml');
  const isError = ajv.compile({ $ref: 'openapi.yaml#/components/schemas/Error' });

  /** Sends the parts, one after the other, and hears until the gateway closes the connection. */
  async function send(label: string, ...parts: readonly string[]): Promise<Heard> {
    const socket = connect(gateway.port, '127.0.0.1').setNoDelay();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    const closed = new Promise<void>((resolve, reject) => socket.on('close', () => resolve()).on('error', reject));
    try {
      for (const part of parts) {
        await new Promise((resolve) => socket.write(Buffer.from(part, 'latin1'), resolve));
        if (parts.length > 1) await new Promise(setImmediate);
      }
      await within(`${label} is over`, closed);
    } finally {
      socket.destroy();
    }
    const text = Buffer.concat(chunks).toString('latin1');
    return { statuses: [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)), text };
  }

  function assertRefused({ statuses, text }: Heard, status: number): void {
    assert.deepEqual(statuses, [status], text);
    assert.doesNotMatch(text, /smuggled/);
    const [fields = '', body = ''] = text.split('\r\n\r\n', 2);
    assert.match(fields, /^Connection: close$/im);
    assert.match(fields, /^Cache-Control: no-store$/im);
    assert.match(fields, /^Content-Type: application\/json$/im);
    assert.match(fields, /^X-Content-Type-Options: nosniff$/im);
    const error = JSON.parse(body) as { status: number; request_id: string };
    assert.ok(isError(error), JSON.stringify(isError.errors));
    assert.equal(error.status, status);
    assert.match(fields, new RegExp(`^X-Request-Id: ${error.request_id}$`, 'im'));
  }

  const unmatched = async () =>
    (await readSeries(gateway.url)).sum('foldforge_gateway_http_requests_total', { path: 'unmatched' });

  it('is refused with one answer of the contract, and nothing behind it is answered', async () => {
    const before = await unmatched();
    const heard = await Promise.all(
      Object.entries(MALFORMED).map(
        async ([label, [bytes, status]]) => [label, status, await send(label, bytes)] as const,
      ),
    );
    for (const [label, status, answer] of heard) {
      try {
        assertRefused(answer, status);
      } catch (error) {
        throw new Error(`${label}: ${(error as Error).message}`, { cause: error });
      }
    }
    const bodies = Object.values(MALFORMED).filter(([bytes]) => bytes.startsWith(CHUNKED)).length;
    await until('each is counted', async () => (await unmatched()) - before === heard.length - bodies);
    const quiet = gateway.logLines.filter((line) => line.includes('"msg":"request"') && line.includes('"unmatched"'));
    assert.ok(
      quiet.length > 0 && quiet.every((line) => line.includes('"level":"debug"')),
      'strangers cannot fill a disk',
    );
  });

  it('is refused also when it comes in pieces', async () => {
    const labels = ['a folded field', 'a chunk size that is none', 'two Hosts', 'a long field', 'CONNECT'];
    await Promise.all(
      labels.map(async (label) => {
        const [bytes, status] = MALFORMED[label]!;
        const middle = Math.min(bytes.length - 1, 200);
        const pieces = [bytes.slice(0, 1), bytes.slice(1, 30), bytes.slice(30, middle), bytes.slice(middle)];
        assertRefused(await send(label, ...pieces), status);
      }),
    );
  });

  it('lets what came before it be answered first', async () => {
    // It is answered only after the orchestrator, which is not there, was asked.
    const slow = `GET /v1/workflows HTTP/1.1\r\n${HOST}Authorization: Bearer dev-token\r\n\r\n`;
    const bad = MALFORMED['a space before the colon']![0];
    const { statuses, text } = await send('both', slow + SECOND + bad);
    assert.deepEqual(statuses, [503, 200, 400], text);
    assert.match(text, /"status":"ok"[\s\S]*HTTP\/1\.1 400[\s\S]*Connection: close/);
  });

  it('is dropped behind a request that asked to close', async () => {
    const last = `GET /v1/healthz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
    const { statuses, text } = await send('the last', last + SECOND);
    assert.deepEqual(statuses, [200]);
    assert.doesNotMatch(text, /smuggled/);
  });

  it('is, in a body that is being read, a 400 of that request', async () => {
    await send('a body', `${CHUNKED}2\r\n{}\r\n`, `zz${ENDS_A_LINE}`);
    const line = () => gateway.logLines.findLast((text) => text.includes('"route":"/v1/workflows"'));
    await until('it is logged', () => line()?.includes('"status":400'));
  });

  it('is no 100-continue to a request that is refused, and one to a request whose body is read', async () => {
    const ask = 'Expect: 100-continue\r\nContent-Length: 2\r\n';
    const unauthorized = SUBMIT.replace('dev-token', 'wrong');
    assert.deepEqual((await send('401', `${unauthorized}${ask}\r\n`)).statuses, [401]);
    assert.deepEqual((await send('415', `${SUBMIT.replace('json', 'xml')}${ask}\r\n`)).statuses, [415]);
    const large = ask.replace(' 2', ' 20000000');
    assert.deepEqual((await send('413', `${SUBMIT}${large}\r\n`)).statuses, [413]);
    const good = await send('400', `${SUBMIT}Connection: close\r\n${ask}\r\n`, '{}');
    assert.deepEqual(good.statuses, [100, 400]);
    assert.match(good.text, /must have required property/);
  });

  it('is not HTTP/1.0, which health checks speak', async () => {
    const { statuses, text } = await send('HTTP/1.0', 'GET /v1/healthz HTTP/1.0\r\n\r\n');
    assert.deepEqual(statuses, [200]);
    assert.match(text, /"status":"ok"/);
  });

  it('is refused before it is read when it is compressed, or something else than JSON', async () => {
    for (const field of ['Content-Encoding: gzip', 'Content-Type: text/xml']) {
      const start = field.startsWith('Content-Type') ? SUBMIT.replace(/Content-Type.*\r\n/, '') : SUBMIT;
      // Nothing of the body is ever sent.
      const { statuses } = await send(field, `${start}${field}\r\nConnection: close\r\nContent-Length: 9\r\n\r\n`);
      assert.deepEqual(statuses, [415]);
    }
  });
});
