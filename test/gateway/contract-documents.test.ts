import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CONTRACT, startTestGateway, type TestGateway } from '../support/gateway.ts';

const NOBODY = { Authorization: '' };

describe('the contract as it is served', () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway();
  });
  after(() => gateway.close());

  const documents = [
    { path: '/openapi.json', type: 'application/json', text: CONTRACT.json },
    { path: '/openapi.yaml', type: 'application/yaml', text: CONTRACT.yaml },
  ];
  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    gateway.request(path, { method, headers: { ...NOBODY, ...headers } });

  it("is the validator's own, and may be kept by whoever asks each time", async () => {
    for (const { path, type, text } of documents) {
      const response = await ask(path);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('content-type'), type);
      assert.equal(response.headers.get('cache-control'), 'no-cache');
      assert.match(response.headers.get('etag')!, /^"[\w-]{43}"$/);
      assert.equal(await response.text(), text);
    }
  });

  it('has another entity tag in each form, and the same one each time', async () => {
    const tags = await Promise.all(
      documents.flatMap(({ path }) => [path, path]).map(async (path) => (await ask(path)).headers.get('etag')),
    );
    assert.deepEqual([tags[0], tags[2]], [tags[1], tags[3]]);
    assert.notEqual(tags[0], tags[2]);
  });

  it('is answered with 304 to whoever has it, and whole to whoever has another one', async () => {
    for (const { path, text } of documents) {
      const etag = (await ask(path)).headers.get('etag')!;
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const response = await ask(path, { 'If-None-Match': known });
        assert.deepEqual([response.status, await response.text()], [304, ''], known);
        assert.equal(response.headers.get('etag'), etag);
        assert.equal(response.headers.get('cache-control'), 'no-cache');
      }
      const response = await ask(path, { 'If-None-Match': '"other"' });
      assert.deepEqual([response.status, await response.text()], [200, text]);
    }
  });

  it('answers HEAD as it answers GET, without the text', async () => {
    for (const { path, text } of documents) {
      const head = await ask(path, {}, 'HEAD');
      assert.deepEqual([head.status, await head.text()], [200, '']);
      assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(text)));
      const etag = head.headers.get('etag')!;
      assert.equal(etag, (await ask(path)).headers.get('etag'));
      const unchanged = await ask(path, { 'If-None-Match': etag }, 'HEAD');
      assert.deepEqual([unchanged.status, unchanged.headers.get('etag')], [304, etag]);
    }
  });
});
