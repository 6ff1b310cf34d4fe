import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientHttp2Stream } from 'node:http2';
import { after, before, beforeEach, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { pathOf, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { checkAnswer } from '../support/contract-check.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { CONTRACT, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type H2Answer, type H2Client, type H2Request, openH2, readAnswer } from '../support/h2-client.ts';
import { type RawStore, serve, startRawStore } from '../support/raw-store.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

const GIB = 2 ** 30;
const SPEC = JSON.stringify({ name: 'x', steps: [{ id: 'a', tool: 'af2' }] });
const JSON_TYPE = { 'content-type': 'application/json' };
/** RFC 9113, section 8.2.2. */
const OF_A_CONNECTION = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];

describe('over HTTP/2', () => {
  const pair = createSelfSigned('localhost');
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  let client: H2Client;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      TLS_CERT_FILE: folder.write('tls.crt', pair.cert),
      TLS_KEY_FILE: folder.write('tls.key', pair.key),
      HEARTBEAT_SECONDS: '0.1',
      STREAM_BUFFER_BYTES: '65536',
      STREAM_STALL_SECONDS: '0.5',
      BODY_TIMEOUT_SECONDS: '0.5',
      HEADER_TIMEOUT_SECONDS: '0.5',
    });
    client = openH2(gateway.port, pair.cert);
  });
  after(async () => {
    client.close();
    await gateway.close();
    await store.close();
    await fake.close();
    folder.close();
  });
  beforeEach(() => {
    fake.clearFaults();
    fake.calls.length = 0;
  });

  async function metric(pattern: RegExp): Promise<number> {
    const { body } = await client.request('/metrics');
    return Number(pattern.exec(body)?.[1]);
  }
  const logged = (...parts: string[]) =>
    until(`a line with ${parts}`, () => gateway.logLines.some((line) => parts.every((part) => line.includes(part))));
  const running = () => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;

  async function check(method: string, path: string, { status, headers, body }: H2Answer): Promise<void> {
    const fields = Object.entries(headers).filter(([name]) => !name.startsWith(':')) as [string, string][];
    const hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
    if (!hasBody) assert.equal(body, '');
    await checkAnswer(CONTRACT, method, path, new Response(hasBody ? body : null, { status, headers: fields }));
    assert.equal(headers['strict-transport-security'], 'max-age=31536000');
    assert.deepEqual(
      OF_A_CONNECTION.filter((name) => name in headers),
      [],
    );
  }

  describe('routes', () => {
    const bytes = Buffer.from('0123456789');
    let file: string;
    let id: string;
    before(() => {
      file = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: bytes.length, contentType: 'text/plain' }]), 'a/b');
      id = running();
      store.behave(serve(bytes));
    });

    it('answer as they do over HTTP/1.1', async () => {
      const tooMuch = Buffer.alloc(3_000_000, ' ');
      const cases: [status: number, method: string, path: string, asked: H2Request, body: RegExp][] = [
        [200, 'GET', '/v1/healthz', {}, /ok/],
        [200, 'HEAD', '/v1/healthz', {}, /^$/],
        [201, 'POST', '/v1/workflows', { headers: JSON_TYPE, body: SPEC }, /"id"/],
        [200, 'GET', '/v1/workflows', {}, /"workflows"/],
        [200, 'GET', `/v1/workflows/${id}`, {}, /RUNNING/],
        [404, 'GET', '/v1/workflows/nobodys', {}, /NOT_FOUND/],
        [404, 'HEAD', '/v1/workflows/nobodys', {}, /^$/],
        [201, 'POST', `/v1/workflows/${id}/stream-tickets`, {}, /"ticket"/],
        [401, 'GET', '/v1/workflows', { headers: { authorization: 'Bearer wrong' } }, /UNAUTHENTICATED/],
        [400, 'POST', '/v1/workflows', { headers: JSON_TYPE, body: '{' }, /INVALID_ARGUMENT/],
        [413, 'POST', '/v1/workflows', { headers: JSON_TYPE, body: tooMuch }, /PAYLOAD_TOO_LARGE/],
        [415, 'POST', '/v1/workflows', { headers: { 'content-type': 'text/plain' }, body: 'x' }, /./],
        [405, 'PUT', '/v1/workflows', { body: tooMuch }, /METHOD_NOT_ALLOWED/],
        [204, 'OPTIONS', '/v1/workflows', {}, /^$/],
        [404, 'GET', '/nothing', {}, /NOT_FOUND/],
        [200, 'GET', file, {}, /^0123456789$/],
        [206, 'GET', file, { headers: { range: 'bytes=2-4' } }, /^234$/],
        [416, 'GET', file, { headers: { range: 'bytes=20-' } }, /RANGE_NOT_SATISFIABLE/],
        [200, 'HEAD', file, {}, /^$/],
        [200, 'DELETE', `/v1/workflows/${id}`, {}, /CANCELLED/],
        [200, 'GET', '/openapi.json', {}, /openapi/],
      ];
      for (const [status, method, path, asked, body] of cases) {
        const answer = await client.request(path, { method, ...asked });
        assert.equal(answer.status, status, `${method} ${path}: ${answer.body}`);
        assert.match(answer.body, body, `${method} ${path}`);
        await check(method, path, answer);
      }
    });

    it('answer 304 without a body', async () => {
      const { headers } = await client.request('/openapi.json');
      const answer = await client.request('/openapi.json', { headers: { 'if-none-match': headers.etag! } });
      assert.deepEqual([answer.status, answer.body], [304, '']);
    });

    it('answer many requests of one connection at the same time', async () => {
      const answers = await Promise.all(Array.from({ length: 200 }, () => client.request('/v1/healthz')));
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    });

    it('give a large answer whole to a request whose body nobody reads', async () => {
      const large = fake.put({ spec: { name: 'x'.repeat(600_000) }, state: JobState.FAILED }).id;
      const answer = await client.request(`/v1/workflows/${large}/retry`, { method: 'POST' });
      assert.equal(JSON.parse(answer.body).name.length, 600_000);
    });
  });

  describe('clients that leave', () => {
    it('are counted as 499, and the upstream call is stopped', async () => {
      fake.onCall('listWorkflows', () => new Promise(() => undefined));
      const stream = client.open('/v1/workflows', { headers: { 'x-request-id': 'left' } });
      await until('the call arrives', () => fake.countCalls('listWorkflows') > 0);
      stream.close(8);
      await logged('"request_id":"left"', '"status":499');
      const stopped = /duration_seconds_count\{method="ListWorkflows",code="CLIENT_CLOSED_REQUEST"\} (\d+)/;
      assert.equal(await metric(stopped), 1);
    });

    it('are counted as 499 when their connection breaks', async () => {
      fake.onCall('listWorkflows', () => new Promise(() => undefined));
      const own = openH2(gateway.port, pair.cert);
      own.open('/v1/workflows', { headers: { 'x-request-id': 'broke' } });
      await until('the call arrives', () => fake.countCalls('listWorkflows') > 0);
      own.session.socket.destroy();
      await logged('"request_id":"broke"', '"status":499');
    });

    for (const [how, leave] of [
      ['reset the stream', (stream: ClientHttp2Stream) => stream.close(8)],
      ['hang up', (stream: ClientHttp2Stream) => stream.session!.destroy()],
    ] as const) {
      it(`let go of the store when they ${how} in a download`, async () => {
        store.behave((socket) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${GIB}\r\n\r\nthe first bytes`));
        const path = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: GIB }]), 'a/b');
        const own = openH2(gateway.port, pair.cert);
        const stream = own.open(path, { headers: { 'x-request-id': `d-${how.length}` } });
        await within('the first bytes', once(stream, 'data'));
        leave(stream);
        await until("the store's connection is closed", () => store.openConnections() === 0);
        await logged(`"request_id":"d-${how.length}"`, '"status":499');
        assert.equal(await metric(/failures_total\{reason="broken"\} (\d+)/), 0);
        own.close();
      });
    }
  });

  describe('downloads', () => {
    it('hold back the store while nobody reads', async () => {
      let sent = 0;
      const chunk = Buffer.alloc(65_536);
      store.behave((socket) => {
        const send = () => {
          while (!socket.destroyed && !socket.writableNeedDrain) {
            sent += chunk.length;
            socket.write(chunk);
          }
        };
        socket.on('drain', send);
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${GIB}\r\n\r\n`);
        send();
      });
      const path = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: GIB }]), 'a/b');
      const stream = client.open(path);
      await within('the head', once(stream, 'response'));
      let seen = { sent: -1, at: 0 };
      await until('the store is held back', () => {
        if (sent !== seen.sent) seen = { sent, at: performance.now() };
        return performance.now() - seen.at > 300;
      });
      assert.ok(sent < 2 ** 26, `${sent} bytes`);
      stream.close(8);
      await until("the store's connection is closed", () => store.openConnections() === 0);
    });

    it('that break off are seen to be broken', async () => {
      store.behave((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123`);
        setImmediate(() => socket.destroy());
      });
      const path = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: 10 }]), 'a/b');
      await assert.rejects(within('the end', readAnswer(client.open(path))), /NGHTTP2_INTERNAL_ERROR/);
    });

    it('come whole, however large', async () => {
      const large = Buffer.alloc(9_000_000, 'abcdefg');
      store.behave(serve(large));
      const path = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: large.length }]), 'a/b');
      const { status, body } = await client.request(path);
      assert.deepEqual([status, body === large.toString()], [200, true]);
    });
  });

  describe('event streams', () => {
    const step = (id: string, sizeBytes = 1) =>
      fake.stepUpdate(id, { stepId: 'a', error: { code: 'X', message: 'x'.repeat(sizeBytes) } });

    async function watch(id: string, own = client) {
      const stream = own.open(`/v1/workflows/${id}/events`);
      let text = '';
      stream.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      const [headers] = await within('the head', once(stream, 'response'));
      return { stream, headers, text: () => text };
    }

    it('are live, keep alive, and end with the workflow', async () => {
      const id = running();
      const { stream, headers, text } = await watch(id);
      assert.equal(headers[':status'], 200);
      assert.equal(headers['content-type'], 'text/event-stream');
      assert.equal(headers.connection, undefined);
      await until('the snapshot', () => text().includes('workflow_update'));
      await until('a heartbeat', () => /^:/m.test(text()));
      await until('the watcher is there', () => fake.openStreams() === 1);
      step(id);
      await until('the event', () => text().includes('step_update'));
      fake.workflowUpdate(id, JobState.SUCCEEDED);
      await within('the end', once(stream, 'end'));
      assert.match(text(), /event: end/);
    });

    it('answer HEAD with their head', async () => {
      const answer = await client.request(`/v1/workflows/${running()}/events`, { method: 'HEAD' });
      assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'text/event-stream']);
    });

    it('are let go of when their reader leaves', async () => {
      const { stream } = await watch(running());
      await until('the watcher is there', () => fake.openStreams() === 1);
      assert.equal(await metric(/event_streams (\d+)/), 1);
      stream.close(8);
      await until('nobody watches', () => fake.openStreams() === 0);
      assert.equal(await metric(/foldforge_gateway_event_streams (\d+)/), 0);
    });

    it('are cut when their reader falls behind, and the others of the connection go on', async () => {
      const id = running();
      const own = openH2(gateway.port, pair.cert);
      const { text } = await watch(id, own);
      const slow = own.open(`/v1/workflows/${id}/events`);
      const broken = once(slow, 'error');
      await within('the head', once(slow, 'response'));
      slow.pause();
      await until('the watcher is there', () => fake.openStreams() === 1);
      const before = await metric(/stream_cuts_total (\d+)/);
      for (let count = 1; count <= 10; count++) {
        step(id, 30_000);
        await until(`event ${count}`, () => text().split('event: step_update').length > count);
      }
      await until('it is cut', async () => (await metric(/stream_cuts_total (\d+)/)) === before + 1);
      slow.resume();
      await within('the reset', broken);
      step(id);
      await until('the other has all', () => text().split('event: step_update').length > 11);
      own.close();
    });

    it('are cut when their reader takes nothing, whatever others of the connection take', async () => {
      const id = running();
      const own = openH2(gateway.port, pair.cert);
      const { text } = await watch(id, own);
      const slow = own.open(`/v1/workflows/${id}/events`);
      const broken = once(slow, 'error');
      await within('the head', once(slow, 'response'));
      slow.pause();
      await until('the watcher is there', () => fake.openStreams() === 1);
      // More than the client lets come unread, and less than may wait for it.
      for (let count = 1; count <= 3; count++) {
        step(id, 30_000);
        await until(`event ${count}`, () => text().split('event: step_update').length > count);
      }
      const before = await metric(/stream_cuts_total (\d+)/);
      await until('it is cut', async () => (await metric(/stream_cuts_total (\d+)/)) === before + 1);
      slow.resume();
      await within('the reset', broken);
      own.close();
    });
  });

  describe('long polls', () => {
    const held = () => metric(/^foldforge_gateway_held_requests (\d+)/m);

    it('are answered when the workflow is over', async () => {
      const id = running();
      const answer = client.request(`/v1/workflows/${id}?wait=30`);
      await until('it waits', () => fake.openStreams() === 1);
      fake.workflowUpdate(id, JobState.SUCCEEDED);
      assert.match((await answer).body, /SUCCEEDED/);
    });

    it('are let go of when their client leaves', async () => {
      const stream = client.open(`/v1/workflows/${running()}?wait=30`);
      await until('it waits', () => fake.openStreams() === 1);
      assert.equal(await held(), 1);
      stream.close(8);
      await until('nobody waits', () => fake.openStreams() === 0);
      assert.equal(await held(), 0);
    });
  });

  describe('requests', () => {
    it('whose body does not come are answered with 408', async () => {
      const stream = client.open('/v1/workflows', { method: 'POST', headers: JSON_TYPE }, false);
      const { status, body } = await within('the answer', readAnswer(stream));
      assert.deepEqual([status, JSON.parse(body).code], [408, 'REQUEST_TIMEOUT']);
    });

    it('with more header fields than may be are refused', async () => {
      const headers = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`x-${index}`, '1']));
      const { status, body } = await client.request('/v1/healthz', { headers });
      assert.deepEqual([status, JSON.parse(body).code], [431, 'HEADERS_TOO_LARGE']);
    });

    for (const [what, headers] of [
      ['a Host that is not :authority', { ':authority': 'localhost', host: 'other.example' }],
      ['a bad :authority', { ':authority': 'a b' }],
      ['a :path that is none', { ':path': 'nothing' }],
      ['a header of HTTP/1.1', { ':path': '/v1/healthz', 'x-a': 'a\0b' }],
    ] as const) {
      it(`with ${what} are malformed`, async () => {
        const stream = client.open('/v1/healthz', { headers });
        await assert.rejects(within('the reset', readAnswer(stream)), /NGHTTP2_PROTOCOL_ERROR/);
      });
    }
  });
});
