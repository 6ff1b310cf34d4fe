import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { pathOf, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { exchange, requestText } from '../support/raw-http.ts';
import { type RawStore, startRawStore } from '../support/raw-store.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

const HOST = 'Host: gateway.test\r\n';
const ALICE = 'Authorization: Bearer the-key-of-alice\r\n';
const PROBE = `GET /v1/healthz HTTP/1.1\r\n${HOST}\r\n`;
const LIST = `GET /v1/workflows HTTP/1.1\r\n${HOST}${ALICE}\r\n`;
const SUBMIT = `POST /v1/workflows HTTP/1.1\r\n${HOST}${ALICE}Content-Type: application/json\r\n`;
const SPEC = '{"name":"x","steps":[{"id":"a","tool":"rfdiffusion"}]}';
const FILE = Buffer.alloc(4_000_000, 'x');
/** Requests that one principal may have open. */
const MOST = 4;

/** What is sent, and after which words in the answers the client leaves without a word; none: it waits to be left. */
type Way = readonly [bytes: string, until?: RegExp];

/** A connection, and all that has come on it. */
function open(socket: Socket, bytes: string) {
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  const closed = once(socket, 'close');
  socket.write(bytes);
  return { socket, closed, text: () => text };
}

describe('however a request ends', () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    const hash = createHash('sha256').update('the-key-of-alice').digest('hex');
    fake.keys.set(hash, { principal: 'alice', limit: 0n, used: 0n });
    store = await startRawStore((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${FILE.length}\r\n\r\n`);
      socket.write(FILE);
    });
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      API_KEYS_ENABLED: 'true',
      AUTH_CACHE_TTL_SECONDS: '0.05',
      PRINCIPAL_MAX_IN_FLIGHT: String(MOST),
      BODY_LIMIT_BYTES: '2048',
      SEND_TIMEOUT_SECONDS: '1',
      HEADER_TIMEOUT_SECONDS: '1',
      BODY_TIMEOUT_SECONDS: '1',
    });
  });
  after(async () => {
    await gateway.close();
    await store.close();
    await fake.close();
  });

  const talk = (bytes: string) => open(connect(gateway.port, '127.0.0.1'), bytes);

  /** A gauge of the gateway, asked on a connection of its own. */
  async function readGauges(): Promise<(name: string) => number> {
    const { body } = await exchange(gateway.port, requestText({ target: '/metrics' }));
    return (name) => Number(new RegExp(`^foldforge_gateway_${name} (\\S+)$`, 'm').exec(body)?.[1]);
  }

  /** Fails unless nothing is open but the connection that asks. */
  async function assertNothingIsOpen(): Promise<void> {
    let left: Readonly<Record<string, number>> = {};
    const isOver = async () => {
      const read = await readGauges();
      const gauges = {
        working_requests: 0,
        held_requests: 0,
        event_streams: 0,
        object_store_transfers: 0,
        // The one that asks.
        http_requests_in_flight: 1,
        connections: 1,
      };
      const counts = Object.entries(gauges).map(([name, own]) => [name, read(name) - own] as const);
      left = Object.fromEntries(counts.filter(([, count]) => count !== 0));
      return Object.keys(left).length === 0;
    };
    await until('all is over', isOver, 10_000).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(left)}`);
    });
  }

  /** Fails unless alice may have as many requests open as ever. */
  async function assertRoom(): Promise<void> {
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    const before = fake.countCalls('listWorkflows');
    fake.onCall('listWorkflows', () => answered);
    const talks = Array.from({ length: MOST }, () => talk(LIST.replace(HOST, `${HOST}Connection: close\r\n`)));
    try {
      await until('all are worked on', () => fake.countCalls('listWorkflows') === before + MOST);
    } finally {
      answer();
      fake.clearFaults();
    }
    for (const { closed, text } of talks) {
      await within('an answer', closed);
      assert.match(text(), /^HTTP\/1\.1 200 /);
    }
  }

  it('nothing of it is left open', async () => {
    const running = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }, 'alice').id;
    const over = fake.put({ spec: { name: 'x' }, state: JobState.SUCCEEDED }, 'alice').id;
    const file = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: FILE.length }], 'alice'), 'a/b');
    const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${HOST}${ALICE}${fields}\r\n`;
    const never = () => new Promise(() => undefined);
    fake.onCall('getBalance', never);
    fake.onCall('listLedger', () => {
      throw new ConnectError('no', Code.Internal);
    });
    const ways: Readonly<Record<string, Way>> = {
      'an answer': [LIST, /\r\n\r\n/],
      'an answer to HEAD': [LIST.replace('GET', 'HEAD'), /\r\n\r\n/],
      'the last answer': [get('/v1/workflows', 'Connection: close\r\n')],
      'HTTP/1.0': [LIST.replace('HTTP/1.1', 'HTTP/1.0')],
      'half a head': [LIST.slice(0, -2)],
      'a wrong key': [LIST.replace('alice', 'nobody'), / 401 /],
      'no such path': [get('/nothing'), / 404 /],
      'no such method': [LIST.replace('GET', 'PUT'), / 405 /],
      'an error of the orchestrator': [get('/v1/billing/ledger'), / 50\d /],
      'leaving while it is worked on': [get('/v1/billing/balance')],
      'a body': [`${SUBMIT}Content-Length: ${SPEC.length}\r\n\r\n${SPEC}`, / 201 /],
      'a body that is not as agreed': [`${SUBMIT}Content-Length: 2\r\n\r\n{}`, / 400 /],
      'a body that is announced to be too large': [`${SUBMIT}Content-Length: 4096\r\n\r\n`],
      'a body that is too large': [`${SUBMIT}Transfer-Encoding: chunked\r\n\r\n1000\r\n${'x'.repeat(4096)}`],
      'a body that breaks': [`${SUBMIT}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
      'a body that does not come': [`${SUBMIT}Content-Length: 9\r\n\r\n`],
      'half a body': [`${SUBMIT}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n{`, / 100 /],
      'a body that nobody asked for': [`${LIST.slice(0, -2)}Content-Length: 9\r\n\r\n`],
      'a long poll': [get(`/v1/workflows/${over}?wait=5`), / 200 /],
      'a long poll that is left': [get(`/v1/workflows/${running}?wait=5`)],
      'a stream to its end': [get(`/v1/workflows/${over}/events`)],
      'a stream that is left': [get(`/v1/workflows/${running}/events`), /retry:/],
      'HEAD of a stream': [get(`/v1/workflows/${running}/events`).replace('GET', 'HEAD'), / 200 /],
      'a download': [get(file, 'Connection: close\r\n')],
      'a download that is left': [get(file), / 200 /],
      'HEAD of a download': [get(file).replace('GET', 'HEAD'), / 200 /],
      'a range that is none': [get(file, 'Range: bytes=9999999-\r\n'), / 416 /],
      'a malformed request behind a good one': [`${LIST}GET /\0`],
      CONNECT: [`CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`],
      'CONNECT while another is worked on': [`${get('/v1/billing/balance')}CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`],
      'many in a row': [LIST.repeat(70)],
      'leaving many in a row': [LIST.repeat(70), / 200 /],
    };
    for (const [label, [bytes, word]] of Object.entries(ways)) {
      const { socket, closed, text } = talk(bytes);
      const calls = fake.calls.length;
      const leaves = /balance|wait=5/.test(bytes) && !word;
      if (leaves && !bytes.includes('CONNECT')) {
        await until(label, () => fake.calls.length > calls);
        socket.resetAndDestroy();
      } else if (word) {
        await until(label, () => word.test(text()));
        socket.resetAndDestroy();
      } else await within(label, closed, 10_000);
    }
    fake.clearFaults();
    await assertNothingIsOpen();
    await assertRoom();
  });

  it('nothing of it is left open when the client has gone before its key was known', async () => {
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    await new Promise((resolve) => setTimeout(resolve, 60));
    fake.onCall('authenticateApiKey', () => answered);
    const before = fake.countCalls('authenticateApiKey');
    const talks = Array.from({ length: MOST }, () => talk(LIST));
    await until('the key is looked up', () => fake.countCalls('authenticateApiKey') > before);
    const inFlight = async () => (await readGauges())('http_requests_in_flight');
    await until('all wait for it', async () => (await inFlight()) === MOST + 1);
    for (const { socket } of talks) socket.resetAndDestroy();
    await until('all are gone', async () => (await inFlight()) === 1);
    answer();
    fake.clearFaults();
    await assertNothingIsOpen();
    await assertRoom();
  });

  it('a client that asks for a tunnel, and resets its connection, does no harm', async () => {
    for (const bytes of [`CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`, 'CONNECT a:1 HTTP/1.1\r\n\r\n']) {
      const { socket, text } = talk(bytes);
      await until('it is refused', () => text().includes(' 400 '));
      socket.resetAndDestroy();
    }
    await assertNothingIsOpen();
  });
});

describe('a shutdown', () => {
  it('lets a client take the rest of an answer that has been written', async (t) => {
    // More than the buffers of the system hold.
    const body = Buffer.alloc(32_000_000, 'x');
    const page = { type: 'text/plain', body, gzip: undefined, digest: 'x' };
    const gateway = await startTestGateway({}, { docs: new Map([['index.html', page]]), console: new Map() });
    t.after(gateway.close);
    const { socket, closed } = open(connect(gateway.port, '127.0.0.1'), `GET /docs/ HTTP/1.1\r\n${HOST}\r\n`);
    await once(socket, 'data');
    socket.pause();
    const stopped = gateway.close();
    await new Promise((resolve) => setTimeout(resolve, 150));
    socket.resume();
    await within('it is closed', closed);
    assert.ok(socket.bytesRead > body.length, `${socket.bytesRead} bytes`);
    await stopped;
  });
});

describe('over TLS', () => {
  it('nothing is answered behind the answer that closes the connection', async (t) => {
    const { cert, key } = createSelfSigned('localhost');
    const folder = createTlsFolder();
    t.after(() => folder.close());
    const files = { TLS_CERT_FILE: folder.write('tls.crt', cert), TLS_KEY_FILE: folder.write('tls.key', key) };
    const gateway = await startTestGateway({ ...files, BODY_LIMIT_BYTES: '1024', HEADER_TIMEOUT_SECONDS: '1' });
    t.after(gateway.close);
    const large = `POST /v1/workflows HTTP/1.1\r\n${HOST}Authorization: Bearer dev-token\r\nContent-Type: application/json\r\n`;
    const bytes = [
      `${large}Content-Length: 2000\r\n\r\n${'x'.repeat(2000)}`,
      PROBE,
      // Its body does not come, so that the connection is read for a while after the last answer.
      `${large}Content-Length: 10\r\n\r\n`,
    ].join('');
    const { closed, text } = open(
      connectTls({ port: gateway.port, host: 'localhost', ca: cert, ALPNProtocols: ['http/1.1'] }),
      bytes,
    );
    await within('it is closed', closed, 10_000);
    assert.deepEqual(
      [...text().matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status),
      ['413'],
    );
  });
});
