import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import {
  data,
  ERROR,
  type Fields,
  FLAG,
  FRAME,
  type Frame,
  headers,
  PREFACE,
  readFrame,
  rstStream,
  SETTING,
  settings,
  settingsAck,
  windowUpdate,
} from '../support/h2-frames.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

const LARGE_WINDOW = 2 ** 30;
const LARGE_CHARS = 6_000_000;
/** How long the client does not read, in milliseconds: longer than the gateway takes to have the answer written. */
const PAUSE_MS = 400;
/** Of an answer: more than the rest of what is said on a connection. */
const SOME_BYTES = 100_000;

const asked = (method: string, path: string, ...more: Fields): Fields => [
  [':method', method],
  [':scheme', 'https'],
  [':authority', 'localhost'],
  [':path', path],
  ['authorization', 'Bearer dev-token'],
  ...more,
];

// A client may take what does not end so for broken off (RFC 9113, section 8.1), as those of Go and Python do.
describe('over HTTP/2 an answer ends with END_STREAM', () => {
  const pair = createSelfSigned('localhost');
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('tls.crt', pair.cert),
      TLS_KEY_FILE: folder.write('tls.key', pair.key),
      LOG_LEVEL: 'warn',
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
    folder.close();
  });

  async function open(test: TestContext) {
    const socket = connect({ port: gateway.port, host: 'localhost', ca: pair.cert, ALPNProtocols: ['h2'] });
    test.after(() => socket.destroy());
    socket.on('error', () => {});
    await within('the handshake', once(socket, 'secureConnect'));
    const frames: Frame[] = [];
    let unread = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      let at = 0;
      for (let next = readFrame(unread, at); next; next = readFrame(unread, at)) {
        frames.push(next.frame);
        at = next.end;
      }
      unread = unread.subarray(at);
    });
    const greeting = [PREFACE, settings([[SETTING.initialWindowSize, LARGE_WINDOW]]), windowUpdate(0, LARGE_WINDOW)];
    socket.write(Buffer.concat([...greeting, settingsAck()]));
    const has = (type: number, flag = 0) =>
      frames.some((frame) => frame.type === type && (frame.flags & flag) === flag);
    return {
      socket,
      isEnded: () => has(FRAME.data, FLAG.endStream) || has(FRAME.headers, FLAG.endStream),
      isReset: () => has(FRAME.rstStream),
      resetCode: () => frames.find(({ type }) => type === FRAME.rstStream)?.payload.readUInt32BE(0),
      dataBytes: () =>
        frames.filter(({ type }) => type === FRAME.data).reduce((sum, { payload }) => sum + payload.length, 0),
    };
  }

  for (const [what, ...packets] of [
    ['a request without a body', headers(1, asked('GET', '/v1/healthz'), { end: true })],
    ['HEAD', headers(1, asked('HEAD', '/v1/healthz'), { end: true })],
    [
      'a request whose body is read',
      headers(1, asked('POST', '/v1/workflows', ['content-type', 'application/json'])),
      data(1, Buffer.from('{'), { end: true }),
    ],
    [
      'a request whose body nobody reads',
      headers(1, asked('PUT', '/v1/workflows')),
      data(1, Buffer.from('{}'), { end: true }),
    ],
  ] as const) {
    it(`to ${what}, and without a reset`, async (test) => {
      const { socket, isEnded, isReset } = await open(test);
      socket.write(Buffer.concat(packets as readonly Buffer[]));
      await until('the end', () => isEnded() || isReset());
      assert.ok(isEnded() && !isReset());
    });
  }

  it('to a request that has not, and then with a reset that says that all is well', async (test) => {
    const { socket, isEnded, isReset, resetCode } = await open(test);
    socket.write(Buffer.concat([headers(1, asked('PUT', '/v1/workflows')), data(1, Buffer.from('{'))]));
    await until('the reset', isReset);
    assert.deepEqual([isEnded(), resetCode()], [true, ERROR.noError]);
  });

  it('also where its connection is slow', async (test) => {
    const { id } = fake.put({ spec: { name: 'x'.repeat(LARGE_CHARS) }, state: JobState.FAILED });
    const { socket, isEnded, isReset, resetCode, dataBytes } = await open(test);
    socket.pause();
    socket.write(headers(1, asked('POST', `/v1/workflows/${id}/retry`, ['content-length', '5'])));
    await until('the orchestrator is asked', () => fake.countCalls('retryWorkflow') > 0);
    const pausedAtMs = performance.now();
    await until('the connection is full', () => performance.now() - pausedAtMs > PAUSE_MS);
    socket.resume();
    await until('the reset', isReset);
    assert.deepEqual([isEnded(), resetCode(), dataBytes() > LARGE_CHARS], [true, ERROR.noError, true]);
  });
});

// Long before anything else would tell: a heartbeat, or the time for which a client may take nothing.
describe('over HTTP/2 a held request is let go when its client', () => {
  const pair = createSelfSigned('localhost');
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  let id: string;
  let large: string;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('tls.crt', pair.cert),
      TLS_KEY_FILE: folder.write('tls.key', pair.key),
      HEARTBEAT_SECONDS: '60',
    });
    id = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
    large = fake.put({ spec: { name: 'x'.repeat(LARGE_CHARS) }, state: JobState.FAILED }).id;
  });
  after(async () => {
    await gateway.close();
    await fake.close();
    folder.close();
  });

  async function open(test: TestContext) {
    const socket = connectTcp(gateway.port, '127.0.0.1');
    const stream = connect({ socket, ca: pair.cert, servername: 'localhost', ALPNProtocols: ['h2'] });
    test.after(() => stream.destroy());
    stream.on('error', () => {});
    await within('the handshake', once(stream, 'secureConnect'));
    const greeting = [PREFACE, settings([[SETTING.initialWindowSize, LARGE_WINDOW]]), windowUpdate(0, LARGE_WINDOW)];
    stream.write(Buffer.concat([...greeting, settingsAck()]));
    return { socket, stream };
  }
  const logged = (requestId: string) =>
    until(`a line of ${requestId}`, () =>
      gateway.logLines.some((line) => line.includes(`"request_id":"${requestId}"`) && line.includes('"status":')),
    );

  // The write fails that is under way, and others wait behind it: node:http2 does not read until the last of them is made.
  for (const [what, query] of [
    ['an event stream', '/events'],
    ['a long poll', '?wait=60'],
  ] as const) {
    it(`breaks its connection with ${what} while it takes nothing of a large answer`, async (test) => {
      const { socket, stream } = await open(test);
      const requestId = what.replaceAll(' ', '-');
      const path = `/v1/workflows/${id}${query}`;
      stream.write(headers(1, asked('GET', path, ['x-request-id', requestId]), { end: true }));
      await until('the watch', () => fake.openStreams() === 1);
      stream.write(headers(3, asked('GET', `/v1/workflows/${large}`), { end: true }));
      await until('some of the answer', () => stream.read() !== null && stream.bytesRead > SOME_BYTES);
      const pausedAtMs = performance.now();
      await until('the connection is full', () => performance.now() - pausedAtMs > PAUSE_MS);
      socket.resetAndDestroy();
      await until('the end of the watch', () => fake.openStreams() === 0);
      await logged(requestId);
    });
  }

  it('resets a long poll by HEAD', async (test) => {
    const { stream } = await open(test);
    const path = `/v1/workflows/${id}?wait=60`;
    stream.write(headers(1, asked('HEAD', path, ['x-request-id', 'head']), { end: true }));
    await until('the watch', () => fake.openStreams() === 1);
    stream.write(rstStream(1, ERROR.cancel));
    await until('the end of the watch', () => fake.openStreams() === 0);
    await logged('head');
    assert.ok(gateway.logLines.some((line) => line.includes('"request_id":"head"') && line.includes('"status":499')));
  });
});
