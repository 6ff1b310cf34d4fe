import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Pages } from '../../src/gateway/pages.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openH2 } from '../support/h2-client.ts';
import { readSeries } from '../support/read-series.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

const HOST = 'Host: gateway.test\r\n';
const PROBE = `GET /v1/healthz HTTP/1.1\r\n${HOST}\r\n`;
const KEY = `Authorization: ${ADMIN.Authorization}\r\n`;
const SUBMIT = `POST /v1/workflows HTTP/1.1\r\n${HOST}${KEY}Content-Type: application/json\r\n`;
/** Of which nothing more comes. */
const HALF_A_BODY = `${SUBMIT}Content-Length: 100\r\n\r\n{"name":`;

/** The same, of a client that hears when somebody reads it. */
const ASKED_BODY = HALF_A_BODY.replace(HOST, `${HOST}Expect: 100-continue\r\n`);

interface Talk {
  readonly socket: Socket;
  /** Everything that has come. */
  readonly text: () => string;
  readonly statuses: () => number[];
  /** Settles with the connection; its value is the code of its error, if it had one. */
  readonly closed: Promise<string | undefined>;
}

function talk(port: number, bytes = '', localAddress = '127.0.0.1'): Talk {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  const chunks: Buffer[] = [];
  let code: string | undefined;
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  const closed = new Promise<string | undefined>((resolve) => socket.on('close', () => resolve(code)));
  if (bytes !== '') socket.write(bytes);
  const text = () => Buffer.concat(chunks).toString('latin1');
  const statuses = () => [...text().matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  return { socket, text, statuses, closed };
}

/** A gateway that is closed with the test, however that ends. */
async function open(t: TestContext, settings: Readonly<Record<string, string>>): Promise<TestGateway> {
  const gateway = await startTestGateway(settings);
  t.after(gateway.close);
  return gateway;
}

/** Writes as long as it is heard. */
async function drip({ socket, closed }: Talk, bytes: string, everyMs: number): Promise<void> {
  let isOpen = true;
  void closed.then(() => {
    isOpen = false;
  });
  while (isOpen) {
    socket.write(bytes);
    await Promise.race([sleep(everyMs), closed]);
  }
}

describe('clients who take their time', { concurrency: true }, () => {
  let gateway: TestGateway;
  let patient: TestGateway;
  let fake: FakeOrchestrator;
  const page = { type: 'text/plain', body: Buffer.alloc(32_000_000, 'x'), gzip: undefined, digest: 'x' };
  const pages: Pages = { docs: new Map([['index.html', page]]), console: new Map() };
  before(async () => {
    fake = await startFakeOrchestrator();
    const settings = {
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      SEND_TIMEOUT_SECONDS: '0.8',
      CONNECTION_MAX_REQUESTS: '3',
    };
    gateway = await startTestGateway(
      { ...settings, HEADER_TIMEOUT_SECONDS: '0.5', BODY_TIMEOUT_SECONDS: '1.5', IDLE_TIMEOUT_SECONDS: '1' },
      pages,
    );
    patient = await startTestGateway();
  });
  after(async () => {
    await Promise.all([gateway.close(), patient.close()]);
    await fake.close();
  });

  it('with a head are answered with 408, however they drip', async () => {
    const first = talk(gateway.port, `GET /v1/healthz HTTP/1.1\r\n${HOST}X: `);
    const second = talk(gateway.port, PROBE);
    await until('the first answer', () => second.statuses().length === 1);
    second.socket.write('GET /');
    await Promise.all([drip(first, 'x', 100), drip(second, 'x', 100)].map((over) => within('a head is cut', over)));
    assert.deepEqual(first.statuses(), [408]);
    assert.deepEqual(second.statuses(), [200, 408]);
    for (const { text } of [first, second]) assert.match(text(), /"code":"REQUEST_TIMEOUT"/);
  });

  it('before they say anything are cut without a word', async () => {
    const { closed, text } = talk(gateway.port);
    await within('it is closed', closed);
    assert.equal(text(), '');
    const series = await readSeries(gateway.url);
    assert.ok(series.sum('foldforge_gateway_connection_cuts_total', { reason: 'silent' }) >= 1);
  });

  it('between two requests are cut without a word', async () => {
    const { closed, statuses } = talk(gateway.port, PROBE);
    await within('it is closed', closed);
    assert.deepEqual(statuses(), [200]);
  });

  it('with a body are answered with 408, and that is what is logged and counted', async () => {
    const { closed, statuses, text } = talk(gateway.port, HALF_A_BODY);
    await within('it is closed', closed);
    assert.deepEqual(statuses(), [408]);
    assert.match(text(), /Connection: close[\s\S]*"code":"REQUEST_TIMEOUT"/);
    const { sum } = await readSeries(gateway.url);
    assert.equal(sum('foldforge_gateway_http_requests_total', { path: '/v1/workflows', status: '408' }), 1);
  });

  it('with a body may be slow, but not below the least rate', async () => {
    const slow = talk(patient.port, HALF_A_BODY.replace('100', '1000000'));
    const steady = talk(patient.port, HALF_A_BODY.replace('100', '1000000'));
    const openedMs = performance.now();
    void drip(steady, 'x'.repeat(1_000), 200);
    await within('it is cut', drip(slow, 'x'.repeat(10), 100), 10_000);
    assert.ok(performance.now() - openedMs > 5_000);
    assert.match(slow.text(), /"code":"REQUEST_TIMEOUT","message":"the body came at less than 1024 bytes a second"/);
    assert.deepEqual(steady.statuses(), []);
    steady.socket.destroy();
  });

  it('for the answer are not cut while they wait for the workflow', async () => {
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const { statuses } = talk(gateway.port, `GET /v1/workflows/${id}?wait=2 HTTP/1.1\r\n${HOST}${KEY}\r\n`);
    await until('the answer', () => statuses().length > 0);
    assert.deepEqual(statuses(), [200]);
  });

  it('with the answer are cut, and those who take a little of it now and then are not', async () => {
    const ask = `GET /docs/ HTTP/1.1\r\n${HOST}\r\n`;
    const stalled = talk(gateway.port, ask);
    const slow = talk(gateway.port, ask);
    stalled.socket.pause();
    const isCut = async () =>
      (await readSeries(gateway.url)).sum('foldforge_gateway_connection_cuts_total', { reason: 'stalled' }) === 1;
    // So much at once that the system asks for more: it does so when a third of its buffer, of up to 4 MB, is free.
    for (let taken = 0; taken < page.body.length; taken += 2_000_000) {
      slow.socket.resume();
      await until('it took some', () => slow.socket.bytesRead > taken);
      slow.socket.pause();
      await sleep(150);
    }
    await until('the stalled one is cut', isCut);
    slow.socket.resume();
    await until('the other has all of it', () => slow.socket.bytesRead > page.body.length);
    stalled.socket.destroy();
    assert.ok(await isCut());
  });

  it('with more than one request are told which is the last, and nothing is done for one more', async () => {
    const named = (name: string) => PROBE.replace(HOST, `${HOST}X-Request-Id: ${name}\r\n`);
    const { closed, statuses, text } = talk(gateway.port, ['one', 'two', 'three', 'four', 'five'].map(named).join(''));
    await within('it is closed', closed);
    assert.deepEqual(statuses(), [200, 200, 200]);
    const answers = text().split(/(?=HTTP\/1\.1 )/);
    assert.deepEqual(
      answers.map((answer) => /^Connection: (.*)\r$/m.exec(answer)?.[1]),
      ['keep-alive', 'keep-alive', 'close'],
    );
    assert.ok(!gateway.logLines.some((line) => line.includes('"four"')));
  });

  it('are answered in order, one at a time, and no more than so many wait', async () => {
    const requests = Array.from({ length: 200 }, (_, index) =>
      PROBE.replace(HOST, `${HOST}X-Request-Id: p${index}\r\n`),
    );
    const { closed, text } = talk(patient.port, requests.join(''));
    assert.equal(await within('it is closed', closed), undefined);
    const answered = [...text().matchAll(/X-Request-Id: p(\d+)\r/g)].map(([, index]) => Number(index));
    assert.ok(answered.length > 16 && answered.length < 200, `${answered.length} answers`);
    assert.deepEqual(answered, [...answered.keys()]);
  });

  it('with a body that is too large hear that, although they read only when all is sent', async () => {
    const body = 'x'.repeat(8_000_000);
    const { socket, closed, statuses } = talk(patient.port, `${SUBMIT}Content-Length: ${body.length}\r\n\r\n`);
    socket.pause();
    await new Promise((resolve) => socket.write(body, resolve));
    socket.resume();
    assert.equal(await within('it is closed', closed), undefined);
    assert.deepEqual(statuses(), [413]);
  });

  it('to stop when all is said are cut in the end', async () => {
    const endless = talk(patient.port, `${SUBMIT}Content-Length: 20000000\r\n\r\n`);
    // A client that does not close its side.
    const socket = endless.socket as Socket & { allowHalfOpen: boolean };
    socket.allowHalfOpen = true;
    await within('it is cut', drip(endless, 'x', 100), 10_000);
    assert.deepEqual(endless.statuses(), [413]);
  });
});

describe('too many connections', () => {
  it('cost those that have been idle for the longest time, and only then new ones', async (t) => {
    const gateway = await open(t, { CONNECTIONS_MAX: '3' });
    const isUnderWay = ({ statuses }: Talk) => until('it is under way', () => statuses().includes(100));
    const first = talk(gateway.port, PROBE);
    await until('the first is idle', () => first.statuses().length === 1);
    const others = [talk(gateway.port, ASKED_BODY), talk(gateway.port, ASKED_BODY)];
    await Promise.all(others.map(isUnderWay));
    const next = talk(gateway.port, PROBE);
    await within('the idle one is closed', first.closed);
    await until('the next is answered', () => next.statuses().length === 1);
    next.socket.write(ASKED_BODY);
    await isUnderWay(next);
    const refused = talk(gateway.port, PROBE);
    await within('it is closed', refused.closed);
    assert.equal(refused.text(), '');
    for (const { socket } of others) socket.destroy();
    const isAnswered = async () => {
      const again = talk(gateway.port, PROBE.replace(HOST, `${HOST}Connection: close\r\n`));
      await within('it is closed', again.closed);
      return again.statuses().length === 1;
    };
    await until('there is room again', isAnswered);
    const { sum } = await readSeries(gateway.url);
    assert.equal(sum('foldforge_gateway_connection_cuts_total', { reason: 'idle' }), 1);
    assert.ok(sum('foldforge_gateway_connection_refusals_total', { reason: 'process' }) >= 1);
    next.socket.destroy();
  });

  it('of one address are closed at once, those of others and of proxies are not', async (t) => {
    const settings = { CONNECTIONS_MAX_PER_ADDRESS: '2' };
    const [gateway, behind] = await Promise.all([
      open(t, settings),
      open(t, { ...settings, TRUSTED_PROXIES: '127.0.0.0/8' }),
    ]);
    const held = [gateway, gateway, behind, behind, behind].map(({ port }) => talk(port, PROBE));
    await Promise.all(held.map(({ statuses }) => until('an answer', () => statuses().length === 1)));
    const refused = talk(gateway.port, PROBE);
    await within('it is closed', refused.closed);
    assert.equal(refused.text(), '');
    const other = talk(gateway.port, PROBE, '127.0.0.2');
    await until('another address is answered', () => other.statuses().length === 1);
    held[0]!.socket.destroy();
    await once(held[0]!.socket, 'close');
    const again = async () => {
      const next = talk(gateway.port, PROBE);
      await Promise.race([next.closed, until('an answer', () => next.statuses().length === 1)]);
      return next.statuses().length === 1;
    };
    await until('one more may come', again);
  });
});

describe('who a request is for, and from', () => {
  it('is a host that is served, but for probes', async (t) => {
    const gateway = await open(t, { ALLOWED_HOSTS: 'api.example.org' });
    const ask = async (target: string, host: string) => {
      const { closed, statuses } = talk(
        gateway.port,
        `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      );
      await within('an answer', closed);
      return statuses();
    };
    assert.deepEqual(await ask('/v1/workflows', 'api.example.org:8443'), [401]);
    assert.deepEqual(await ask('/v1/workflows', 'elsewhere.example.org'), [421]);
    assert.deepEqual(await ask('/v1/healthz', '10.1.2.3:8080'), [200]);
  });

  it('is logged, as trusted proxies tell it', async (t) => {
    const gateway = await open(t, { TRUSTED_PROXIES: '127.0.0.1' });
    const send = async (forwarded: string, localAddress: string) => {
      const bytes = `GET /v1/healthz HTTP/1.1\r\n${HOST}X-Forwarded-For: ${forwarded}\r\nConnection: close\r\n\r\n`;
      await within('an answer', talk(gateway.port, bytes, localAddress).closed);
    };
    await send('198.51.100.9, 203.0.113.5', '127.0.0.1');
    await send('203.0.113.6', '127.0.0.2');
    const clients = () =>
      gateway.logLines.flatMap((line) =>
        line.includes('/v1/healthz') ? [(JSON.parse(line) as { client: string }).client] : [],
      );
    await until('both are logged', () => clients().length === 2);
    assert.deepEqual(clients(), ['203.0.113.5', '127.0.0.2']);
  });
});

describe('over TLS', () => {
  const { cert, key } = createSelfSigned('localhost');
  const folder = createTlsFolder();
  const files = { TLS_CERT_FILE: folder.write('tls.crt', cert), TLS_KEY_FILE: folder.write('tls.key', key) };
  after(() => folder.close());

  it('a body that is too large is read for a while, so that its client hears of it', async (t) => {
    const gateway = await open(t, files);
    const socket = connectTls({ port: gateway.port, host: 'localhost', ca: cert, ALPNProtocols: ['http/1.1'] });
    // It may still send when the time is up.
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.write(`${SUBMIT}Content-Length: 8000000\r\n\r\n`);
    const error = await within('all is sent', new Promise((sent) => socket.write('x'.repeat(8_000_000), sent)));
    assert.ok(!error);
    await within('it is closed', once(socket, 'close'));
    assert.match(text, /^HTTP\/1\.1 413 /);
  });

  it('a connection of HTTP/2 is idle only without a request', async (t) => {
    const fake = await startFakeOrchestrator();
    t.after(fake.close);
    const gateway = await open(t, { ...files, ORCHESTRATOR_ENDPOINT: fake.endpoint, CONNECTIONS_MAX: '2' });
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const [busy, idle] = [openH2(gateway.port, cert), openH2(gateway.port, cert)];
    const waiting = busy.open(`/v1/workflows/${id}?wait=30`);
    await until('it waits', () => fake.openStreams() === 1);
    assert.equal((await idle.request('/v1/healthz')).status, 200);
    const next = openH2(gateway.port, cert);
    assert.equal((await next.request('/v1/healthz')).status, 200);
    await until('the idle one is closed', () => idle.session.destroyed);
    assert.ok(!busy.session.destroyed && !waiting.destroyed);
    for (const client of [busy, next]) client.close();
  });
});
