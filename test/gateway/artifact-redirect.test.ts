import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { BUCKET, pathOf, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { S3_SERVERS, type S3Server } from '../support/s3-servers.ts';
import { within } from '../support/waiting.ts';

const KEY = `a b/Grüße "1" 100%'.pdb`;
const FILE = randomBytes(1_000);
const ETAG = `"${sha256(FILE)}"`;

for (const { name, start } of S3_SERVERS) {
  describe(`links to ${name}`, () => {
    let fake: FakeOrchestrator;
    let store: S3Server;
    let gateway: TestGateway;
    let path: string;
    before(async () => {
      fake = await startFakeOrchestrator();
      store = await start();
      await store.put(KEY, FILE);
      path = pathOf(recordFiles(fake, [{ key: KEY, sizeBytes: FILE.length, sha256: sha256(FILE) }]), KEY);
      gateway = await startTestGateway(settings());
    });
    after(async () => {
      await gateway.close();
      await store.close();
      await fake.close();
    });

    const settings = () => ({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      ARTIFACT_DELIVERY: 'redirect',
    });

    const ask = (target = path, init: RequestInit = {}) => gateway.request(target, { redirect: 'manual', ...init });

    async function readLink(headers: Record<string, string> = {}): Promise<URL> {
      const response = await ask(path, { headers });
      assert.equal(response.status, 302);
      assert.equal(response.headers.get('cache-control'), 'no-store', 'a link is good for a minute');
      assert.equal((await response.arrayBuffer()).byteLength, 0);
      return new URL(response.headers.get('location')!);
    }

    it('are for one object and a minute, and do not hold the secret', async () => {
      const link = await readLink();
      assert.equal(link.origin, store.url);
      assert.equal(decodeURIComponent(link.pathname), `/${BUCKET}/${KEY}`);
      assert.equal(link.searchParams.get('X-Amz-Expires'), '60');
      assert.equal(link.searchParams.get('X-Amz-SignedHeaders'), 'host');
      assert.equal(link.searchParams.get('response-content-type'), 'chemical/x-pdb');
      assert.match(
        link.searchParams.get('response-content-disposition')!,
        /^attachment; filename="Gr__e _1_ 100_'\.pdb"; /,
      );
      assert.equal(link.href.includes('test-secret'), false);
      assert.equal(gateway.logLines.join('').includes('X-Amz-Signature'), false, 'a link is a credential');
    });

    it('are not given to who has If-Range: the store does not know our ETag', async () => {
      for (const [ifRange, status, size] of [
        [ETAG, 206, 10],
        ['"other"', 200, FILE.length],
      ] as const) {
        const response = await ask(path, { headers: { Range: 'bytes=0-9', 'If-Range': ifRange } });
        assert.equal(response.status, status);
        assert.equal((await response.arrayBuffer()).byteLength, size);
      }
    });

    it('download the file, and parts of it', async () => {
      const whole = await fetch(await readLink());
      assert.equal(whole.status, 200);
      assert.ok(Buffer.from(await whole.arrayBuffer()).equals(FILE));
      assert.equal(whole.headers.get('content-type'), 'chemical/x-pdb');
      const range = { Range: 'bytes=10-19' };
      const part = await fetch(await readLink(range), { headers: range });
      assert.equal(part.status, 206);
      assert.ok(Buffer.from(await part.arrayBuffer()).equals(FILE.subarray(10, 20)));
      const followed = await fetch(gateway.url + path, { headers: { Authorization: 'Bearer dev-token' } });
      assert.ok(Buffer.from(await followed.arrayBuffer()).equals(FILE));
    });

    it('are given only to whom the file would be', async () => {
      const answers: [init: RequestInit, status: number, target?: string][] = [
        [{ method: 'HEAD' }, 200],
        [{ headers: { 'If-None-Match': ETAG } }, 304],
        [{ headers: { Range: 'bytes=1000-' } }, 416],
        [{ headers: { Authorization: '' } }, 401],
        [{}, 404, `${path}.other`],
        [{}, 404, pathOf('no-such-workflow', KEY)],
      ];
      for (const [init, status, target] of answers) {
        const response = await ask(target, init);
        assert.deepEqual([response.status, response.headers.get('location')], [status, null], JSON.stringify(init));
      }
      const head = await ask(path, { method: 'HEAD' });
      assert.deepEqual([head.headers.get('content-length'), head.headers.get('etag')], ['1000', ETAG]);
    });

    it('lead to 404 where the object is missing', async () => {
      const lost = pathOf(recordFiles(fake, [{ key: 'lost', sizeBytes: 1 }]), 'lost');
      const response = await ask(lost);
      assert.equal(response.status, 302);
      const followed = await fetch(response.headers.get('location')!);
      assert.equal(followed.status, 404);
      await followed.arrayBuffer();
    });
  });
}

describe('links', () => {
  let fake: FakeOrchestrator;
  before(async () => {
    fake = await startFakeOrchestrator();
  });
  after(() => fake.close());

  const recordOne = () => pathOf(recordFiles(fake, [{ key: KEY, sizeBytes: FILE.length }]), KEY);

  it('cannot be changed, and name the file', async (t) => {
    const store = await S3_SERVERS[0].start();
    t.after(store.close);
    await store.put(KEY, FILE, 'application/octet-stream');
    await store.put('other', FILE);
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      ARTIFACT_DELIVERY: 'redirect',
    });
    t.after(gateway.close);
    const { headers } = await gateway.request(recordOne(), { redirect: 'manual' });
    const link = new URL(headers.get('location')!);
    const good = await fetch(link);
    await good.arrayBuffer();
    assert.equal(good.headers.get('content-type'), 'chemical/x-pdb', 'the recorded one, not that of the upload');
    assert.match(
      good.headers.get('content-disposition')!,
      /filename\*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22%20100%25%27\.pdb$/,
    );
    for (const change of [
      (url: URL) => url.searchParams.set('X-Amz-Expires', '3600'),
      (url: URL) => url.searchParams.set('response-content-type', 'text/html'),
      (url: URL) => {
        url.pathname = `/${BUCKET}/other`;
      },
    ]) {
      const changed = new URL(link);
      change(changed);
      const refused = await fetch(changed);
      await refused.arrayBuffer();
      assert.equal(refused.status, 403);
    }
    assert.equal((await fetch(link, { method: 'DELETE' })).status, 403, 'to read alone');
  });

  it('have the bucket in the host name where the operator says so', async (t) => {
    const store = await S3_SERVERS[1].start();
    t.after(store.close);
    await store.put(KEY, FILE);
    const { port } = new URL(store.url);
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(`http://localhost:${port}`),
      R2_FORCE_PATH_STYLE: 'false',
      ARTIFACT_DELIVERY: 'redirect',
    });
    t.after(gateway.close);
    const { headers } = await gateway.request(recordOne(), { redirect: 'manual' });
    const link = new URL(headers.get('location')!);
    assert.equal(link.host, `${BUCKET}.localhost:${port}`);
    assert.equal(decodeURIComponent(link.pathname), `/${KEY}`);
    // Not every machine resolves the names below localhost.
    const request = http.get(link, {
      agent: false,
      lookup: (_name, _options, found) => found(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    const [answer] = (await within('the answer of the store', once(request, 'response'))) as [IncomingMessage];
    const bytes = Buffer.concat(await answer.toArray());
    assert.equal(answer.statusCode, 200);
    assert.ok(bytes.equals(FILE));
  });

  it('are not made without a store', async (t) => {
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      R2_BUCKET: BUCKET,
      ARTIFACT_DELIVERY: 'redirect',
    });
    t.after(gateway.close);
    for (const method of ['GET', 'HEAD']) assert.equal((await gateway.request(recordOne(), { method })).status, 503);
    assert.equal((await gateway.request(`${recordOne()}x`)).status, 404);
  });
});
