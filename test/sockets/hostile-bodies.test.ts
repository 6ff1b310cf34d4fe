import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { CountedMessage } from '../../src/gateway/listener/counted-message.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openH2 } from '../support/h2-client.ts';
import {
  data,
  ERROR,
  type Fields,
  FRAME,
  headers,
  PREFACE,
  readFrame,
  settings,
  settingsAck,
} from '../support/h2-frames.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

const HOST = 'Host: gateway.test\r\n';
const KEY = `Authorization: ${ADMIN.Authorization}\r\n`;
/** Needs no credential. */
const WEBHOOK = `POST /v1/billing/webhook HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';
const TINY_CHUNK = '1\r\nx\r\n';
const SPEC = JSON.stringify({ name: 'x', steps: [{ id: 'a', tool: 'rfdiffusion' }] });
const SUBMISSION = `POST /v1/workflows HTTP/1.1\r\n${HOST}${KEY}Content-Type: application/json\r\n${CHUNKED}`;
/** Where bodies in small chunks come from: its connections wait for each other, and others do not. */
const SLOW_ADDRESS = '127.0.0.2';
/** As much as waits for who reads a body. */
const WAITING_BYTES = 64_000;
/** The smallest of which there may be any number. */
const FRAME_BYTES = 16;

/** The fields that begin each request of HTTP/2. */
function headOf(target: string): Fields {
  const [method, path] = target.split(' ') as [string, string];
  return [
    [':method', method],
    [':scheme', 'https'],
    [':authority', 'localhost'],
    [':path', path],
  ];
}

/** A body in chunks of so many bytes. */
function pieces(text: string, bytes: number): string {
  const chunks = text.match(new RegExp(`.{1,${bytes}}`, 'g'))!;
  return [...chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`), '0\r\n\r\n'].join('');
}

function talk(socket: Socket, bytes: string) {
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.write(bytes);
  return {
    socket,
    closed,
    text: () => text,
    statuses: () => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((found) => found[1]),
  };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What JavaScript holds on to, in megabytes. */
function heldMb(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed / 1e6;
}

describe('a body', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  let workflowId: string;
  before(async () => {
    fake = await startFakeOrchestrator();
    workflowId = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      IDLE_TIMEOUT_SECONDS: '1',
      HEADER_TIMEOUT_SECONDS: '0.5',
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  const open = (bytes: string, localAddress = '127.0.0.1') =>
    talk(connect({ port: gateway.port, host: '127.0.0.1', localAddress }), bytes);

  it('in chunks of a byte is refused long before all of it is there, whether somebody reads it or not', async (t) => {
    const handedOn = t.mock.method(CountedMessage.prototype, 'push').mock;
    const heads = {
      '400': WEBHOOK,
      '200': `GET /v1/healthz HTTP/1.1\r\n${HOST}`,
      '401': `POST /v1/workflows HTTP/1.1\r\n${HOST}`,
    };
    for (const [status, head] of Object.entries(heads)) {
      handedOn.resetCalls();
      const { closed, socket, statuses } = open(`${head}${CHUNKED}${TINY_CHUNK.repeat(10_000)}`, SLOW_ADDRESS);
      await within(`the end of ${head}`, closed).finally(() => socket.destroy());
      assert.deepEqual(statuses(), [status]);
      assert.ok(handedOn.callCount() < 2_100, `${handedOn.callCount()} chunks were handed on`);
    }
  });

  it('in small pieces is read all the same, on as many connections as there are', async () => {
    const bodies = [pieces(SPEC, 1), pieces(SPEC.padEnd(1_000), 1), pieces(SPEC.padEnd(40_000), 20)];
    for (const body of bodies) {
      const opened = [1, 2].map(() => open(`${SUBMISSION}${body}`, SLOW_ADDRESS));
      await until('they are accepted', () => opened.every(({ statuses }) => statuses().length > 0));
      for (const { statuses, socket } of opened) {
        assert.deepEqual(statuses(), ['201']);
        socket.destroy();
      }
    }
  });

  it('in too many pieces is refused, too, when they are those of many bodies in one packet', async () => {
    const body = pieces(SPEC.padEnd(500), 1);
    const { closed, socket, statuses } = open(`${SUBMISSION}${body}`.repeat(10), '127.0.0.3');
    await within('the end', closed).finally(() => socket.destroy());
    assert.equal(statuses().at(-1), '400');
    assert.ok(statuses().length < 8, statuses().join());
  });

  it('sent ahead of its answer waits for it, as all requests do, however small it is', async () => {
    const small = `GET /v1/healthz HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\nx`;
    const many = open(small.repeat(1_000));
    await within('the end', many.closed);
    assert.ok(many.statuses().length < 20, `${many.statuses().length} answers`);
    const three = open(
      `${SUBMISSION}${pieces(SPEC, 1)}${small}${SUBMISSION}${pieces(SPEC.padEnd(1_000), 1)}`,
      SLOW_ADDRESS,
    );
    await until('all are answered', () => three.statuses().length === 3);
    assert.deepEqual(three.statuses(), ['201', '200', '201']);
    three.socket.destroy();
  });

  it('in too small pieces makes new connections of its network wait, and no others', async () => {
    const first = open(`${SUBMISSION}${pieces(SPEC.padEnd(3_000), 1)}`, SLOW_ADDRESS);
    await until('it is refused', () => first.statuses().length > 0);
    const health = `GET /v1/healthz HTTP/1.1\r\n${HOST}\r\n`;
    const held = Array.from({ length: 40 }, () => open(health, SLOW_ADDRESS));
    const other = open(health);
    await until('the other one is answered', () => other.statuses().length > 0);
    assert.ok(held.filter(({ statuses }) => statuses().length === 0).length > 10);
    for (const { socket } of [first, other, ...held]) socket.destroy();
  });

  it('of a stranger makes room for the next ones when there are too many', async () => {
    const ask = `${WEBHOOK.replace(HOST, `${HOST}Expect: 100-continue\r\n`)}Content-Length: 1000000\r\n\r\n`;
    const first = open(ask);
    await until('somebody reads it', () => first.statuses().includes('100'));
    const others = Array.from({ length: 64 }, () => open(ask));
    try {
      await within('the first goes', first.closed);
      assert.deepEqual(first.statuses(), ['100', '503']);
      assert.match(first.text(), /"code":"OVERLOADED"/);
      await until('the others are read', () => others.every(({ statuses }) => statuses().length === 1));
    } finally {
      for (const { socket } of [first, ...others]) socket.destroy();
    }
  });

  it('that waits behind another request does not fill the memory', async () => {
    const before = heldMb();
    const { socket } = open(`GET /v1/workflows/${workflowId}?wait=30 HTTP/1.1\r\n${HOST}${KEY}\r\n`);
    await until('it waits', () => fake.openStreams() === 1);
    const next = `POST /v1/healthz HTTP/1.1\r\n${HOST}${CHUNKED}${`10\r\n${'x'.repeat(16)}\r\n`.repeat(4_000)}0\r\n\r\n`;
    socket.write(next.repeat(14));
    // Nobody tells when the gateway has read what it will read.
    await sleep(700);
    const heldByBodies = heldMb() - before;
    socket.destroy();
    assert.ok(heldByBodies < 6, `${heldByBodies} MB`);
  });

  it('has no empty lines before it that keep a connection', async () => {
    const { socket, closed, statuses } = open(`GET /v1/healthz HTTP/1.1\r\n${HOST}\r\n`);
    const timer = setInterval(() => socket.write('\r\n'), 200);
    await within('it is closed', closed, 8_000).finally(() => {
      clearInterval(timer);
      socket.destroy();
    });
    assert.deepEqual(statuses(), ['200']);
  });
});

describe('over TLS', () => {
  const { cert, key } = createSelfSigned('localhost');
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('tls.crt', cert),
      TLS_KEY_FILE: folder.write('tls.key', key),
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
    folder.close();
  });

  /** Sends so many small frames, as fast as the window of the stream allows. */
  async function drip(
    target: string,
    fields: readonly (readonly [string, string])[],
    count: number,
  ): Promise<TLSSocket> {
    const socket = connectTls({ port: gateway.port, host: 'localhost', ca: cert, ALPNProtocols: ['h2'] });
    socket.on('error', () => undefined);
    let room = 65_535;
    let rest = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (let found = readFrame(rest, 0); found; found = readFrame(rest, 0)) {
        const { type, flags, streamId, payload } = found.frame;
        rest = rest.subarray(found.end);
        if (type === FRAME.settings && flags === 0) socket.write(settingsAck());
        if (type === FRAME.windowUpdate && streamId === 1) room += payload.readUInt32BE(0);
      }
    });
    socket.write(Buffer.concat([PREFACE, settings([]), headers(1, [...headOf(target), ...fields])]));
    const frame = data(1, Buffer.alloc(FRAME_BYTES, 'x'));
    for (let sent = 0; sent < count; ) {
      await until('there is room', () => room >= FRAME_BYTES);
      const some = Math.min(Math.floor(room / FRAME_BYTES), count - sent, 1_000);
      room -= some * FRAME_BYTES;
      sent += some;
      await new Promise((resolve) => socket.write(Buffer.concat(Array(some).fill(frame)), resolve));
    }
    return socket;
  }

  it('a body in frames of a byte ends its connection long before all of it is there', async () => {
    const socket = connectTls({ port: gateway.port, host: 'localhost', ca: cert, ALPNProtocols: ['h2'] });
    let read = Buffer.alloc(0);
    socket
      .on('error', () => undefined)
      .on('data', (chunk) => {
        read = Buffer.concat([read, chunk]);
      });
    const request = headers(1, [...headOf('POST /v1/billing/webhook'), ['content-type', 'application/json']]);
    socket.write(Buffer.concat([PREFACE, settings([]), request, ...Array(4_000).fill(data(1, Buffer.from('x')))]));
    await within('the end of the connection', once(socket, 'close'));
    const codes: number[] = [];
    for (let found = readFrame(read, 0); found; found = readFrame(read, found.end)) {
      const { type, payload } = found.frame;
      if (type === FRAME.goAway) codes.push(payload.readUInt32BE(4));
    }
    assert.deepEqual(codes, [ERROR.enhanceYourCalm]);
  });

  it('a body in small frames takes as much memory as it has bytes', async () => {
    const before = heldMb();
    const socket = await drip('POST /v1/billing/webhook', [['content-type', 'application/json']], 12_500);
    await sleep(300);
    const held = heldMb() - before;
    socket.destroy();
    assert.ok(held < 6, `${held} MB`);
  });

  it('a body that nobody reads takes none', async () => {
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const before = heldMb();
    const fields = [['authorization', ADMIN.Authorization]] as const;
    const target = `GET /v1/workflows/${id}?wait=30`;
    const sockets = await Promise.all([1, 2, 3, 4].map(() => drip(target, fields, WAITING_BYTES / FRAME_BYTES)));
    await sleep(300);
    const held = heldMb() - before;
    for (const socket of sockets) socket.destroy();
    assert.ok(held < 8, `${held} MB`);
  });

  it('an expectation that is none is 417 with HTTP/2, too', async () => {
    const client = openH2(gateway.port, cert);
    const answer = await client.request('/v1/healthz', { headers: { expect: 'a miracle' } });
    client.close();
    assert.equal(answer.status, 417);
  });

  it('a body in small pieces is read with HTTP/1.1, too, on one connection after the other', async () => {
    for (let turn = 0; turn < 2; turn++) {
      const socket = connectTls({ port: gateway.port, host: 'localhost', ca: cert, ALPNProtocols: ['http/1.1'] });
      const { statuses } = talk(socket, `${SUBMISSION}${pieces(SPEC.padEnd(1_000), 1)}`);
      await until('it is accepted', () => statuses().length > 0);
      socket.destroy();
      assert.deepEqual(statuses(), ['201']);
    }
  });

  it('a target with a backslash is refused as all others are', async () => {
    const socket = connectTls({ port: gateway.port, host: 'localhost', ca: cert, ALPNProtocols: ['http/1.1'] });
    const { closed, text, statuses } = talk(
      socket,
      `GET /v1\\healthz HTTP/1.1\r\n${HOST}X-Request-Id: mine\r\nConnection: close\r\n\r\n`,
    );
    await within('the answer', closed);
    assert.deepEqual(statuses(), ['400']);
    assert.match(text(), /Strict-Transport-Security: max-age/);
    assert.match(text(), /X-Request-Id: mine/);
  });
});
