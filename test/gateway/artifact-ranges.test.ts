import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { FINISHED_AT, pathOf, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { S3_SERVERS, type S3Server } from '../support/s3-servers.ts';

const BYTES = randomBytes(1_000);
const ETAG = `"${sha256(BYTES)}"`;
const BEFORE = 'Sun, 06 Nov 1994 08:49:36 GMT';
/** Strange for a path, a URL, a header or a store, and still keys. */
const STRANGE = [
  `a b/Grüße "1" 100%'.pdb`,
  'plus+and&equals=/q?x#y.pdb',
  'percent%2F%2e%2e.pdb',
  '.hidden/..two/three...',
  'e\u0301/é.pdb',
  '折叠/🧬~!*().pdb',
];

type Headers = Record<string, string>;

for (const { name, start } of S3_SERVERS) {
  describe(`artifacts from ${name}`, () => {
    let fake: FakeOrchestrator;
    let store: S3Server;
    let gateway: TestGateway;
    before(async () => {
      fake = await startFakeOrchestrator();
      store = await start();
      gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) });
    });
    after(async () => {
      await gateway.close();
      await store.close();
      await fake.close();
    });

    async function publish(key: string, bytes: Uint8Array): Promise<string> {
      await store.put(key, bytes);
      return pathOf(recordFiles(fake, [{ key, sizeBytes: bytes.length, sha256: sha256(bytes) }]), key);
    }

    async function download(path: string, headers: Headers = {}) {
      const response = await gateway.request(path, { headers });
      return { response, status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
    }

    it('gives the whole file with its record in the headers', async () => {
      const large = randomBytes(3_000_000);
      const path = await publish('artifacts/large.pdb', large);
      const { response, bytes } = await download(path);
      assert.equal(sha256(bytes), sha256(large));
      const expected = {
        'content-length': '3000000',
        'content-type': 'chemical/x-pdb',
        'accept-ranges': 'bytes',
        etag: `"${sha256(large)}"`,
        'last-modified': FINISHED_AT,
        'repr-digest': `sha-256=:${createHash('sha256').update(large).digest('base64')}:`,
        'content-disposition': `attachment; filename="large.pdb"; filename*=UTF-8''large.pdb`,
        'x-content-type-options': 'nosniff',
        'content-security-policy': 'sandbox',
        'cache-control': 'private, max-age=300, immutable',
        vary: 'Authorization, Origin',
      };
      const head = await gateway.request(path, { method: 'HEAD', headers: { Range: 'bytes=0-1' } });
      assert.equal(head.status, 200, 'a range is for GET alone');
      for (const answer of [response, head]) {
        const headers = Object.fromEntries(Object.keys(expected).map((header) => [header, answer.headers.get(header)]));
        assert.deepEqual(headers, expected);
      }
    });

    it('gives one range, or the whole', async () => {
      const path = await publish('artifacts/range.pdb', BYTES);
      const cases: [headers: Headers, status: 200 | 206, from: number, to: number][] = [
        [{ Range: 'bytes=0-99' }, 206, 0, 100],
        [{ Range: 'bytes=0-0' }, 206, 0, 1],
        [{ Range: 'bytes=999-999' }, 206, 999, 1000],
        [{ Range: 'bytes=0-999' }, 206, 0, 1000],
        [{ Range: 'bytes=0-' }, 206, 0, 1000],
        [{ Range: 'bytes=900-' }, 206, 900, 1000],
        [{ Range: 'bytes=990-2000' }, 206, 990, 1000],
        [{ Range: 'bytes=-10' }, 206, 990, 1000],
        [{ Range: 'bytes=-5000' }, 206, 0, 1000],
        [{ Range: 'bytes=0-0,5-6' }, 200, 0, 1000],
        [{ Range: 'bytes=0-0,-1' }, 200, 0, 1000],
        [{ Range: 'bytes=2000-,3000-' }, 200, 0, 1000],
        [{ Range: 'bytes=5-4' }, 200, 0, 1000],
        [{ Range: 'bytes=-' }, 200, 0, 1000],
        [{ Range: 'bytes=0x1-2' }, 200, 0, 1000],
        [{ Range: 'lines=1-2' }, 200, 0, 1000],
        [{ Range: 'bytes=0-9', 'If-Range': ETAG }, 206, 0, 10],
        [{ Range: 'bytes=0-9', 'If-Range': FINISHED_AT }, 206, 0, 10],
        [{ Range: 'bytes=0-9', 'If-Range': `W/${ETAG}` }, 200, 0, 1000],
        [{ Range: 'bytes=0-9', 'If-Range': '"other"' }, 200, 0, 1000],
        [{ Range: 'bytes=0-9', 'If-Range': BEFORE }, 200, 0, 1000],
        [{ Range: 'bytes=2000-', 'If-Range': '"other"' }, 200, 0, 1000],
      ];
      for (const [headers, status, from, to] of cases) {
        const answer = await download(path, headers);
        assert.equal(answer.status, status, JSON.stringify(headers));
        assert.ok(answer.bytes.equals(BYTES.subarray(from, to)), JSON.stringify(headers));
        const contentRange = status === 206 ? `bytes ${from}-${to - 1}/1000` : null;
        assert.equal(answer.response.headers.get('content-range'), contentRange);
        assert.equal(answer.response.headers.get('etag'), ETAG);
      }
      for (const outside of ['bytes=1000-', 'bytes=1000-1000', 'bytes=-0', `bytes=${'9'.repeat(100)}-`]) {
        const { status, response } = await download(path, { Range: outside });
        assert.deepEqual([status, response.headers.get('content-range')], [416, 'bytes */1000'], outside);
      }
    });

    it('gives nothing to whoever has it already', async () => {
      const path = await publish('artifacts/known.pdb', BYTES);
      const cases: [headers: Headers, status: number][] = [
        [{ 'If-None-Match': ETAG }, 304],
        [{ 'If-None-Match': `W/${ETAG}` }, 304],
        [{ 'If-None-Match': `"x", W/"y" , ${ETAG}` }, 304],
        [{ 'If-None-Match': '*' }, 304],
        [{ 'If-None-Match': ETAG, Range: 'bytes=5000-' }, 304],
        [{ 'If-None-Match': '"x", "y"' }, 200],
        [{ 'If-None-Match': ETAG.slice(1, -1) }, 200],
        [{ 'If-None-Match': '"x"', 'If-Modified-Since': FINISHED_AT }, 200],
        [{ 'If-Modified-Since': FINISHED_AT }, 304],
        [{ 'If-Modified-Since': 'Mon, 07 Nov 2050 08:49:37 GMT' }, 304],
        [{ 'If-Modified-Since': BEFORE }, 200],
        [{ 'If-Modified-Since': 'Sunday, 06-Nov-94 08:49:37 GMT' }, 200],
        [{ 'If-Modified-Since': 'Sun Nov  6 08:49:37 1994' }, 200],
        [{ 'If-Modified-Since': 'Sun, 99 Nov 1994 08:49:37 GMT' }, 200],
        [{ 'If-Modified-Since': '2050-01-01T00:00:00Z' }, 200],
      ];
      for (const [headers, status] of cases) {
        for (const method of ['GET', 'HEAD']) {
          const response = await gateway.request(path, { method, headers });
          await response.arrayBuffer();
          assert.equal(response.status, status, `${method} ${JSON.stringify(headers)}`);
          assert.equal(response.headers.get('etag'), ETAG);
          assert.equal(response.headers.get('cache-control'), 'private, max-age=300, immutable');
          assert.equal(response.headers.get('vary'), 'Authorization, Origin');
        }
      }
    });

    it('gives an empty file, of which no range can be given', async () => {
      const path = await publish('artifacts/empty.txt', new Uint8Array());
      const { status, bytes, response } = await download(path);
      assert.deepEqual([status, bytes.length, response.headers.get('content-length')], [200, 0, '0']);
      for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=-5']) {
        const refused = await download(path, { Range: range });
        assert.deepEqual([refused.status, refused.response.headers.get('content-range')], [416, 'bytes */0'], range);
      }
      assert.equal((await download(path, { Range: 'bytes=0-0,1-1' })).status, 200);
    });

    it('gives files with strange names', async () => {
      for (const key of STRANGE) {
        const { status, bytes } = await download(await publish(key, Buffer.from(key)));
        assert.deepEqual([status, bytes.toString()], [200, key]);
      }
    });
  });
}
