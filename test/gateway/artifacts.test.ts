import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startTestObjectStore } from '../support/object-store.ts';
import { until, within } from '../support/waiting.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('artifacts', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  let store: Awaited<ReturnType<typeof startTestObjectStore>>;
  let s3: S3Client;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startTestObjectStore();
    s3 = new S3Client({
      endpoint: store.url,
      region: 'auto',
      forcePathStyle: true,
      credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
    });
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) });
  });
  after(async () => {
    s3.destroy();
    await gateway.close();
    await store.close();
    await fake.close();
  });

  const storeSettings = (endpoint: string) => ({
    R2_ENDPOINT: endpoint,
    R2_BUCKET: store.bucket,
    R2_ACCESS_KEY_ID: store.accessKeyId,
    R2_SECRET_ACCESS_KEY: store.secretAccessKey,
    OBJECT_STORE_READ_TIMEOUT_SECONDS: '0.5',
  });

  /** Uploads a file and records it as the output of a new workflow; answers with the artifact's path. */
  async function publish(key: string, bytes: Uint8Array, record: { bucket?: string; contentType?: string } = {}) {
    await s3.send(new PutObjectCommand({ Bucket: store.bucket, Key: key, Body: bytes }));
    const { id } = fake.put({
      spec: { name: 'x' },
      state: JobState.SUCCEEDED,
      stepStatuses: [
        {
          stepId: 'a',
          outputs: [
            {
              uri: `r2://${record.bucket ?? store.bucket}/${key}`,
              contentType: record.contentType ?? 'chemical/x-pdb',
              sizeBytes: BigInt(bytes.length),
              sha256: sha256(bytes),
            },
          ],
        },
      ],
    });
    return `/v1/workflows/${id}/artifacts/${key.split('/').map(encodeURIComponent).join('/')}`;
  }

  it('streams the file with its record in the headers', async () => {
    const bytes = randomBytes(3_000_000);
    const path = await publish(`artifacts/${sha256(bytes)}.pdb`, bytes);
    const response = await gateway.request(path);
    assert.equal(response.status, 200);
    assert.equal(sha256(new Uint8Array(await response.arrayBuffer())), sha256(bytes));
    assert.equal(response.headers.get('etag'), `"${sha256(bytes)}"`);
    assert.equal(response.headers.get('content-length'), '3000000');
    assert.equal(response.headers.get('content-type'), 'chemical/x-pdb');
    assert.equal(response.headers.get('accept-ranges'), 'bytes');
    assert.match(response.headers.get('content-disposition')!, /^attachment; filename="[0-9a-f]{64}\.pdb"/);
    assert.equal(
      response.headers.get('repr-digest'),
      `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`,
    );
    const head = await gateway.request(path, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), '3000000');
    assert.equal(head.headers.get('etag'), response.headers.get('etag'));
  });

  it('answers ranges and conditions', async () => {
    const bytes = randomBytes(1000);
    const path = await publish('artifacts/range.bin', bytes);
    const etag = `"${sha256(bytes)}"`;
    const cases: [headers: Record<string, string>, status: number, from: number, to: number][] = [
      [{ Range: 'bytes=0-99' }, 206, 0, 100],
      [{ Range: 'bytes=900-' }, 206, 900, 1000],
      [{ Range: 'bytes=-10' }, 206, 990, 1000],
      [{ Range: 'bytes=990-2000' }, 206, 990, 1000],
      [{ Range: 'bytes=0-0,5-6' }, 200, 0, 1000],
      [{ Range: 'lines=1-2' }, 200, 0, 1000],
      [{ Range: 'bytes=0-9', 'If-Range': etag }, 206, 0, 10],
      [{ Range: 'bytes=0-9', 'If-Range': '"other"' }, 200, 0, 1000],
    ];
    for (const [headers, status, from, to] of cases) {
      const response = await gateway.request(path, { headers });
      assert.equal(response.status, status, JSON.stringify(headers));
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes.subarray(from, to));
      if (status === 206) assert.equal(response.headers.get('content-range'), `bytes ${from}-${to - 1}/1000`);
    }
    const outside = await gateway.request(path, { headers: { Range: 'bytes=1000-' } });
    assert.deepEqual([outside.status, outside.headers.get('content-range')], [416, 'bytes */1000']);
    for (const value of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const fresh = await gateway.request(path, { headers: { 'If-None-Match': value } });
      assert.deepEqual([fresh.status, fresh.headers.get('etag')], [304, etag]);
    }
  });

  it('serves an empty file and strange names', async () => {
    const empty = await gateway.request(await publish('artifacts/empty.txt', new Uint8Array()));
    assert.deepEqual([empty.status, empty.headers.get('content-length')], [200, '0']);
    assert.equal((await empty.arrayBuffer()).byteLength, 0);
    const bytes = Buffer.from('strange');
    const strange = await gateway.request(
      await publish(`a b/Grüße "1" 100%'.pdb`, bytes, { contentType: 'bad\r\ntype' }),
    );
    assert.equal(await strange.text(), 'strange');
    assert.equal(strange.headers.get('content-type'), 'application/octet-stream');
    assert.equal(
      strange.headers.get('content-disposition'),
      `attachment; filename="Gr__e _1_ 100_'.pdb"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22%20100%25%27.pdb`,
    );
  });

  it('finds a file by every form of target that the router takes', async () => {
    const path = await publish('artifacts/forms.pdb', Buffer.from('forms'));
    for (const target of [`http://elsewhere${path}`, path.replace('workflows', 'work%66lows')]) {
      const socket = connect(gateway.port, '127.0.0.1');
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\nConnection: close\r\n\r\n`);
      const text = Buffer.concat(await socket.toArray()).toString();
      assert.match(text, /^HTTP\/1\.1 200 [\s\S]*forms$/, target);
    }
  });

  it('waits for a client that is slower than the store may be silent', async () => {
    const bytes = randomBytes(40_000_000);
    const path = await publish('artifacts/slow.bin', bytes);
    const socket = connect(gateway.port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\nConnection: close\r\n\r\n`);
    await once(socket, 'readable');
    const pausedAt = performance.now();
    await until('three times the read timeout', () => performance.now() - pausedAt > 1_500);
    const text = Buffer.concat(await within('the rest', socket.toArray(), 20_000));
    assert.ok(text.subarray(text.indexOf('\r\n\r\n') + 4).equals(bytes), 'every byte came');
  });

  it('gives nothing that is not an output of this workflow in this bucket', async () => {
    const bytes = randomBytes(10);
    const path = await publish('artifacts/mine.pdb', bytes);
    const elsewhere = await publish('artifacts/elsewhere.pdb', bytes, { bucket: 'other-bucket' });
    const base = path.replace(/artifacts\/mine\.pdb$/, '');
    const hostile = [
      'artifacts/other.pdb',
      'artifacts/elsewhere.pdb',
      'artifacts/%252e%252e/mine.pdb',
      'artifacts//mine.pdb',
      'artifacts/mine.pdb/',
      'artifacts%5Cmine.pdb',
      'artifacts/mine.pdb%00',
      'artifacts%252Fmine.pdb',
      '%C0%AE%C0%AE/mine.pdb',
      '%zz',
    ];
    for (const key of hostile) {
      const response = await gateway.request(base + key);
      assert.ok(response.status === 404 || response.status === 400, `${key}: ${response.status}`);
    }
    assert.equal((await gateway.request(elsewhere)).status, 404);
    assert.equal((await gateway.request(`${base}artifacts%2Fmine.pdb`)).status, 200, 'decoded once');
  });

  it('says 503 without a store, but only to those who may see the file', async () => {
    const path = await publish('artifacts/unserved.pdb', randomBytes(10));
    const bare = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, R2_BUCKET: store.bucket });
    assert.equal((await bare.request(path, { headers: { Authorization: 'Bearer wrong' } })).status, 401);
    assert.equal((await bare.request('/v1/workflows/none/artifacts/artifacts/unserved.pdb')).status, 404);
    const response = await bare.request(path);
    const { code, retryable } = (await response.json()) as { code: string; retryable: boolean };
    assert.deepEqual([response.status, code, retryable], [503, 'NOT_CONFIGURED', false]);
    assert.equal((await bare.request(path, { method: 'HEAD' })).status, 503);
    await bare.close();
  });

  it('says 502 when the store refuses, has lost the file, or has another length', async () => {
    const path = await publish('artifacts/lost.pdb', randomBytes(10));
    const id = path.split('/')[3]!;
    const other = fake.put({
      spec: { name: 'x' },
      stepStatuses: [
        {
          stepId: 'a',
          outputs: [{ uri: `r2://${store.bucket}/artifacts/never.pdb`, sizeBytes: 5n, sha256: 'a'.repeat(64) }],
        },
        {
          stepId: 'b',
          outputs: [{ uri: `r2://${store.bucket}/artifacts/lost.pdb`, sizeBytes: 11n, sha256: 'b'.repeat(64) }],
        },
      ],
    });
    for (const key of ['artifacts/never.pdb', 'artifacts/lost.pdb']) {
      const response = await gateway.request(`/v1/workflows/${other.id}/artifacts/${key}`);
      assert.deepEqual([response.status, ((await response.json()) as { code: string }).code], [502, 'STORE_ERROR']);
    }
    const refusing = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      R2_SECRET_ACCESS_KEY: 'wrong',
    });
    assert.equal((await refusing.request(`/v1/workflows/${id}/artifacts/artifacts/lost.pdb`)).status, 502);
    assert.doesNotMatch(refusing.logLines.join(''), new RegExp(store.secretAccessKey));
    await refusing.close();
  });

  describe('with a store that misbehaves', () => {
    let broken: Server;
    let behave: (bytes: Buffer, response: import('node:http').ServerResponse) => void;
    let own: TestGateway;
    const bytes = randomBytes(200_000);
    let path: string;
    before(async () => {
      broken = createServer((_request, response) => behave(bytes, response)).listen(0, '127.0.0.1');
      await once(broken, 'listening');
      const endpoint = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`;
      own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(endpoint) });
      path = await publish('artifacts/broken.bin', bytes);
    });
    after(async () => {
      await own.close();
      broken.closeAllConnections();
      broken.close();
    });

    it('breaks the transfer when the store breaks off in the middle', async () => {
      behave = (whole, response) => {
        response.writeHead(200, { 'Content-Length': whole.length });
        response.write(whole.subarray(0, 100_000), () => response.destroy());
      };
      const response = await own.request(path);
      await assert.rejects(within('the transfer breaks', response.arrayBuffer()));
      await until('it is logged', () => own.logLines.some((line) => line.includes('a transfer broke off')));
      await until('it is counted as what it was', async () =>
        /artifacts\/\{key\}",status="502"\} 1/.test(await (await own.request('/metrics')).text()),
      );
    });

    it('breaks the transfer when the store falls silent', async () => {
      behave = (whole, response) => {
        response.writeHead(200, { 'Content-Length': whole.length });
        response.write(whole.subarray(0, 100_000));
      };
      const response = await own.request(path);
      await assert.rejects(within('the transfer breaks', response.arrayBuffer()));
    });

    it('lets go of the store when the client leaves', async () => {
      let closed = false;
      behave = (whole, response) => {
        response.writeHead(200, { 'Content-Length': whole.length });
        response.write(whole.subarray(0, 100_000));
        response.once('close', () => {
          closed = true;
        });
      };
      const abort = new AbortController();
      const response = await fetch(own.url + path, { headers: ADMIN, signal: abort.signal });
      const reader = response.body!.getReader();
      await reader.read();
      abort.abort();
      await until("the store's connection is closed", () => closed, 1_000);
      await until('it is counted as the client that left', async () =>
        /artifacts\/\{key\}",status="499"\} 1/.test(await (await own.request('/metrics')).text()),
      );
    });

    it('says 502 for an error and for a store that does not answer at all', async () => {
      behave = (_whole, response) => response.writeHead(500).end('<Error><Code>InternalError</Code></Error>');
      assert.equal((await own.request(path)).status, 502);
      behave = () => undefined;
      const silent = await own.request(path);
      assert.equal(silent.status, 504);
    });
  });
});
