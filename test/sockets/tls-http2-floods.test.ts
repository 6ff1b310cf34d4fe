import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openH2 } from '../support/h2-client.ts';
import {
  continuation,
  ERROR,
  FRAME,
  type Frame,
  headerBlock,
  headers,
  PREFACE,
  ping,
  readFrame,
  rstStream,
  SETTING,
  settings,
  settingsAck,
} from '../support/h2-frames.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

const HEALTH = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'localhost'],
  [':path', '/v1/healthz'],
] as const;
const LIST = [...HEALTH.slice(0, 3), [':path', '/v1/workflows'], ['authorization', 'Bearer dev-token']] as const;

/** Large, and from memory. */
const DOCUMENT = [...HEALTH.slice(0, 3), [':path', '/openapi.json']] as const;

describe('a client of HTTP/2 that', () => {
  const pair = createSelfSigned('localhost');
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '1',
      TLS_CERT_FILE: folder.write('tls.crt', pair.cert),
      TLS_KEY_FILE: folder.write('tls.key', pair.key),
      SEND_TIMEOUT_SECONDS: '1.5',
      IDLE_TIMEOUT_SECONDS: '2',
      LOG_LEVEL: 'warn',
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
    folder.close();
  });
  // Whatever one client does, the next is served.
  afterEach(async () => {
    const client = openH2(gateway.port, pair.cert);
    assert.equal((await client.request('/v1/healthz')).status, 200);
    client.close();
  });

  /** A connection after the preface, and the frames that come on it. */
  async function open(values: Parameters<typeof settings>[0] = [], port = gateway.port) {
    const socket: TLSSocket = connect({ port, host: 'localhost', ca: pair.cert, ALPNProtocols: ['h2'] });
    socket.on('error', () => {});
    await within('the handshake', once(socket, 'secureConnect'));
    const frames: Frame[] = [];
    let unread = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      for (let read = readFrame(unread, 0); read; read = readFrame(unread, 0)) {
        unread = unread.subarray(read.end);
        frames.push(read.frame);
      }
    });
    socket.write(Buffer.concat([PREFACE, settings(values)]));
    await until('the settings', () => frames.some(({ type }) => type === FRAME.settings));
    socket.write(settingsAck());
    return { socket, frames, ofType: (type: number) => frames.filter((frame) => frame.type === type) };
  }
  const endOf = (socket: TLSSocket) => new Promise((resolve) => socket.once('close', resolve));

  it('opens streams and resets them, over and over, is sent away', async () => {
    const { socket } = await open();
    const block = headerBlock(LIST);
    const closed = endOf(socket);
    for (let count = 0; count < 2_000; count++) {
      const id = 2 * count + 1;
      socket.write(Buffer.concat([headers(id, block, { end: true }), rstStream(id, ERROR.cancel)]));
    }
    await within('the end', closed, 15_000);
    assert.ok(fake.calls.length < 1_000, `${fake.calls.length} calls`);
  });

  it('sends a head without an end is sent away', async () => {
    const { socket } = await open();
    const closed = endOf(socket);
    socket.write(headers(1, headerBlock(HEALTH), { more: true }));
    const more = continuation(1, headerBlock([['x-a', 'a'.repeat(10_000)]]), { more: true });
    for (let count = 0; count < 100; count++) socket.write(more);
    await within('the end', closed);
  });

  it('reads no answers to its pings and settings is sent away', async () => {
    const { socket } = await open();
    socket.pause();
    const closed = endOf(socket);
    const flood = Buffer.concat(
      Array.from({ length: 5_000 }, (_, index) => (index % 2 ? ping(Buffer.alloc(8)) : settings([]))),
    );
    const writing = setInterval(() => socket.destroyed || socket.writableNeedDrain || socket.write(flood), 1);
    // It does not see the end while it does not read.
    await until('writes fail or stall', () => socket.destroyed || socket.writableNeedDrain, 10_000);
    clearInterval(writing);
    socket.resume();
    await within('the end', closed, 10_000);
  });

  it('speaks nonsense is sent away', async () => {
    const { socket } = await open();
    const closed = endOf(socket);
    socket.write(Buffer.alloc(1_000, 0xff));
    await within('the end', closed);
  });

  it('asks for more at the same time than it may is sent away', async () => {
    // So that no answer ends.
    const { socket, ofType } = await open([[SETTING.initialWindowSize, 0]]);
    const [announced] = ofType(FRAME.settings);
    const values = Array.from({ length: announced!.payload.length / 6 }, (_, index) => [
      announced!.payload.readUInt16BE(index * 6),
      announced!.payload.readUInt32BE(index * 6 + 2),
    ]);
    const limit = Object.fromEntries(values)[SETTING.maxConcurrentStreams] as number;
    assert.equal(limit, 250);
    const block = headerBlock(DOCUMENT);
    const closed = endOf(socket);
    const ask = (index: number) => headers(2 * index + 1, block, { end: true });
    socket.write(Buffer.concat(Array.from({ length: limit }, (_, index) => ask(index))));
    await until('all are answered', () => ofType(FRAME.headers).length === limit);
    socket.write(ask(limit));
    await within('the end', closed);
    assert.equal(ofType(FRAME.goAway)[0]!.payload.readUInt32BE(4), ERROR.protocolError);
  });

  it('sends a head that is too large gets no answer but a reset', async () => {
    const { socket, ofType } = await open();
    const long = Array.from({ length: 2 }, (_, index) => [`x-${index}`, 'a'.repeat(9_000)] as const);
    const block = headerBlock([...HEALTH, ...long]);
    const first = headers(1, block.subarray(0, 10_000), { end: true, more: true });
    socket.write(Buffer.concat([first, continuation(1, block.subarray(10_000))]));
    await until('the reset', () => ofType(FRAME.rstStream).length === 1);
    assert.equal(ofType(FRAME.rstStream)[0]!.payload.readUInt32BE(0), ERROR.enhanceYourCalm);
    socket.destroy();
  });

  it('opens tunnels is refused, and does not keep its connection by them', async () => {
    const { socket, frames, ofType } = await open();
    const closed = endOf(socket);
    const block = headerBlock([
      [':method', 'CONNECT'],
      [':authority', 'localhost:443'],
    ]);
    socket.write(Buffer.concat([1, 3, 5].map((id) => headers(id, block))));
    await until('the answers', () => ofType(FRAME.headers).length === 3);
    await until('the answer has a body', () => ofType(FRAME.data).length >= 3);
    assert.match(ofType(FRAME.data)[0]!.payload.toString(), /"code":"INVALID_ARGUMENT"/);
    await until('the streams are closed', () => frames.filter(({ type }) => type === FRAME.rstStream).length === 3);
    await within('the end', closed, 4_000);
  });

  it('has no window for many answers is cut off before its time, and those with few are not', async (test) => {
    const many = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('many.crt', pair.cert),
      TLS_KEY_FILE: folder.write('many.key', pair.key),
      LOG_LEVEL: 'warn',
    });
    test.after(many.close);
    const ask = async (count: number) => {
      const client = await open([[SETTING.initialWindowSize, 0]], many.port);
      const block = headerBlock(DOCUMENT);
      client.socket.write(
        Buffer.concat(Array.from({ length: count }, (_, index) => headers(2 * index + 1, block, { end: true }))),
      );
      await until('all are answered', () => client.ofType(FRAME.headers).length === count);
      return client;
    };
    const slow = await ask(1);
    const greedy = await Promise.all(Array.from({ length: 5 }, () => ask(220)));
    const resets = () => greedy.map(({ ofType }) => ofType(FRAME.rstStream).length);
    await until('one of them is cut off', () => resets().includes(220), 5_000);
    assert.equal(resets().filter((count) => count > 0).length, 1);
    assert.equal(slow.ofType(FRAME.rstStream).length, 0);
    for (const { socket } of [slow, ...greedy]) socket.destroy();
  });

  it('has no window for its answers is cut off after the time to send', async () => {
    const { socket, ofType } = await open([[SETTING.initialWindowSize, 0]]);
    socket.write(headers(1, headerBlock(DOCUMENT), { end: true }));
    await until('the head', () => ofType(FRAME.headers).length === 1);
    const startedAt = performance.now();
    await until('the reset', () => ofType(FRAME.rstStream).length === 1);
    assert.ok(performance.now() - startedAt > 1_400);
    assert.equal(ofType(FRAME.data).length, 0);
    socket.destroy();
  });
});
