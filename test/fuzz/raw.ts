import fc from 'fast-check';
import { bytesOf, type Draft, toRequest } from './request.ts';
import type { World } from './world.ts';

/** Bytes for a connection, as the packets that they are written in. */
export interface RawInput {
  readonly packets: readonly Buffer[];
  /** Requests that are whole and right, one after the other, with these ids; undefined: nobody knows what it is. */
  readonly pipeline?: readonly { readonly id: string; readonly method: string; readonly draft: Draft }[];
}

const SMUGGLED = 'GET /v1/healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n';

type Change = (bytes: Buffer, other: Buffer) => Buffer;

const insert = (bytes: Buffer, at: number, more: Buffer | string) => {
  const place = at % (bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, place), Buffer.from(more as Buffer), bytes.subarray(place)]);
};

const position = fc.nat(2_000);
const byteChange: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(position, fc.nat(7)).map(([at, bit]): Change => {
    return (bytes) => {
      const flipped = Buffer.from(bytes);
      if (flipped.length > 0) flipped[at % flipped.length]! ^= 1 << bit;
      return flipped;
    };
  }),
  fc.tuple(position, fc.uint8Array({ minLength: 1, maxLength: 8 })).map(([at, more]): Change => {
    return (bytes) => insert(bytes, at, Buffer.from(more));
  }),
  fc
    .tuple(position, fc.constantFrom('\r\n', '\n', '\r', '\0', ' ', '\t', ':', '\r\n\r\n', '\n\n', '\x0b'))
    .map(([at, more]): Change => {
      return (bytes) => insert(bytes, at, more);
    }),
  fc.tuple(position, fc.integer({ min: 1, max: 40 })).map(([at, count]): Change => {
    return (bytes) => {
      const from = at % (bytes.length + 1);
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + count)]);
    };
  }),
  fc.tuple(position, fc.integer({ min: 1, max: 200 })).map(([at, count]): Change => {
    return (bytes) => {
      const from = at % (bytes.length + 1);
      return insert(bytes, from, bytes.subarray(from, from + count));
    };
  }),
  fc.tuple(position, position).map(([at, from]): Change => {
    return (bytes, other) =>
      Buffer.concat([bytes.subarray(0, at % (bytes.length + 1)), other.subarray(from % (other.length + 1))]);
  }),
  position.map(
    (at): Change =>
      (bytes) =>
        bytes.subarray(0, at % (bytes.length + 1)),
  ),
);

/** Lines that may come into a head, after its first. */
const LINES = [
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\x0bchunked',
  'transfer-encoding: Chunked\r\nTransfer-Encoding: identity',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: -1',
  'Content-Length: +5',
  'Content-Length: 0x5',
  'Content-Length: 5, 5',
  'Content-Length: 5\r\nContent-Length: 6',
  'Content-Length: 99999999999999999999',
  'Content-Length:',
  'Host: a\r\nHost: b',
  'Host: a, b',
  'X: a\r\n b',
  'X: a\r\n\tb',
  ' X: a',
  'X : a',
  ': a',
  'X',
  'X\0: a',
  'X: a\0b',
  'X: a\rb',
  'X: a\nb',
  '(x): a',
  'Expect: 100-continue',
  'Expect: magic',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13',
  'Trailer: X',
  `X: ${'y'.repeat(20_000)}`,
];
const lineChange = fc.constantFrom(...LINES).map((line): Change => {
  return (bytes) => {
    const at = bytes.indexOf('\r\n');
    return at < 0 ? bytes : insert(bytes, at + 2, Buffer.from(`${line}\r\n`, 'latin1'));
  };
});

const STARTS = [
  'GET /v1/healthz',
  'GET  /v1/healthz  HTTP/1.1',
  'GET /v1/healthz HTTP/1.0',
  'GET /v1/healthz HTTP/0.9',
  'GET /v1/healthz HTTP/1.2',
  'GET /v1/healthz HTTP/2.0',
  'GET /v1/healthz HTTP/11',
  'GET /v1/healthz http/1.1',
  'GET\t/v1/healthz\tHTTP/1.1',
  ' GET /v1/healthz HTTP/1.1',
  '\r\nGET /v1/healthz HTTP/1.1',
  '\r\n\r\n\r\nGET /v1/healthz HTTP/1.1',
  '\nGET /v1/healthz HTTP/1.1',
  'CONNECT gateway.test:443 HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'GET http://other.test/v1/healthz HTTP/1.1',
  'GET /v1/healthz HTTP/1.1 x',
  'GET /\0 HTTP/1.1',
  '/v1/healthz',
  'HTTP/1.1 200 OK',
  'SOURCE /v1/healthz HTTP/1.1',
  'PRI * HTTP/2.0',
];
const startChange = fc.constantFrom(...STARTS).map((start): Change => {
  return (bytes) => {
    const at = bytes.indexOf('\r\n');
    return Buffer.concat([Buffer.from(start, 'latin1'), bytes.subarray(Math.max(0, at))]);
  };
});

/** What stands in place of a body, as chunks. */
const CHUNKS = [
  '0\r\n\r\n',
  '5\r\nhello\r\n0\r\n\r\n',
  '5;a=b\r\nhello\r\n0\r\n\r\n',
  `5;${'a'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`,
  '5 \r\nhello\r\n0\r\n\r\n',
  '0x5\r\nhello\r\n0\r\n\r\n',
  '-5\r\nhello\r\n0\r\n\r\n',
  'FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n',
  '5\nhello\n0\n\n',
  '5\r\nhelloX0\r\n\r\n',
  '4\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n',
  '5\r\nhello\r\n0\r\nX: y\r\n\r\n',
  `5\r\nhello\r\n0\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
  '5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n',
  '\r\n5\r\nhello\r\n0\r\n\r\n',
  `${'1\r\nx\r\n'.repeat(3_000)}0\r\n\r\n`,
];
const chunkedPost = fc
  .tuple(fc.constantFrom(...CHUNKS), fc.constantFrom('', 'Content-Length: 5\r\n', 'Content-Length: 0\r\n'))
  .map(([chunks, length]) =>
    Buffer.from(
      `POST /v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}Transfer-Encoding: chunked\r\n\r\n${chunks}${SMUGGLED}`,
      'latin1',
    ),
  );

const FOREIGN: readonly Buffer[] = [
  Buffer.from('160301020001000001fc0303', 'hex'),
  Buffer.from('16030100c8010000c40303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece70000', 'hex'),
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1'),
  Buffer.from('SSH-2.0-OpenSSH_9.9\r\n'),
  Buffer.from('*1\r\n$4\r\nPING\r\n'),
  Buffer.from('EHLO x\r\n'),
  Buffer.from('\0\0\0\x08\x04\xd2\x16\x2f', 'latin1'),
  Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /v1/healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
  Buffer.from('\r\n'.repeat(500)),
  Buffer.from('\n'.repeat(500)),
  Buffer.from('\0'.repeat(500)),
  Buffer.from('A'.repeat(100_000)),
  Buffer.from(`GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(5_000)}\r\n`),
  Buffer.from(`GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`),
  Buffer.from(''),
];

/** Requests whose answers do not end with the connection, so that more of them can follow. */
const PIPELINED = [
  'getHealth',
  'getReadiness',
  'listWorkflows',
  'getWorkflow',
  'rankDesigns',
  'submitWorkflow',
  'getBalance',
];

/** Requests that are answered at once. */
export function rawDraft(valid: ReadonlyMap<string, fc.Arbitrary<Draft>>): fc.Arbitrary<Draft> {
  return fc
    .oneof(...PIPELINED.map((operationId) => valid.get(operationId)!))
    .filter(({ query }) => !query.some(([name]) => name === 'wait'));
}

/** What clients write that know no HTTP, or know it too well. */
export function rawInput(valid: ReadonlyMap<string, fc.Arbitrary<Draft>>, world: World): fc.Arbitrary<RawInput> {
  const draft = rawDraft(valid);
  const whole = draft.map((one) => bytesOf(toRequest(one, world.sign), { close: false }));
  const bent = fc
    .tuple(
      fc.array(whole, { minLength: 1, maxLength: 3 }),
      whole,
      fc.array(
        fc.oneof(
          { weight: 3, arbitrary: byteChange },
          { weight: 2, arbitrary: lineChange },
          { weight: 1, arbitrary: startChange },
        ),
        { minLength: 1, maxLength: 3 },
      ),
    )
    .map(([requests, other, changes]) =>
      changes.reduce<Buffer>((bytes, change) => change(bytes, other), Buffer.concat(requests)),
    );
  const junk: fc.Arbitrary<Buffer> = fc.oneof(
    { weight: 12, arbitrary: bent },
    { weight: 4, arbitrary: chunkedPost },
    { weight: 2, arbitrary: fc.constantFrom(...FOREIGN) },
    { weight: 2, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  );
  const pipeline = fc.array(draft, { minLength: 2, maxLength: 6 }).map((drafts) => {
    const parts = drafts.map((one, index) => {
      const id = `r${index}`;
      return { id, method: one.method, draft: { ...one, headers: [...one.headers, ['X-Request-Id', id] as const] } };
    });
    const bytes = parts.map((part) => bytesOf(toRequest(part.draft, world.sign), { close: false }));
    return { bytes: Buffer.concat(bytes), pipeline: parts };
  });
  return fc
    .tuple(
      fc.oneof({ weight: 3, arbitrary: junk.map((bytes) => ({ bytes })) }, { weight: 1, arbitrary: pipeline }),
      fc.array(fc.nat(5_000), { maxLength: 5 }),
    )
    .map(([input, cuts]) => ({
      packets: cut(input.bytes, cuts),
      ...('pipeline' in input && { pipeline: input.pipeline }),
    }));
}

/** In packets that end at these places, wherever that is. */
export function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((place, index) => bytes.subarray(places[index - 1] ?? 0, place));
}
