import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { GetObjectCommand, HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { createArtifactWriter } from '../../src/orchestrator/runners/artifact-writer.ts';
import { createMockRunner } from '../../src/orchestrator/runners/mock.ts';
import { jobOf } from '../orchestrator/runners/memory-runner.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { within } from '../support/waiting.ts';

const region = 'us-east-1';
const bytes = (text: string) => new TextEncoder().encode(text);

describe('createArtifactWriter', () => {
  let store: TestObjectStore;
  let reader: S3Client;

  before(async () => {
    store = await startTestObjectStore();
    const { accessKeyId, secretAccessKey } = store;
    const credentials = { accessKeyId, secretAccessKey };
    reader = new S3Client({ endpoint: store.url, region, credentials, forcePathStyle: true });
  });

  after(async () => {
    reader?.destroy();
    await store?.close();
  });

  const writerTo = (change: Partial<Parameters<typeof createArtifactWriter>[0]> = {}) => {
    const { url: endpoint, bucket, accessKeyId, secretAccessKey } = store;
    return createArtifactWriter({ endpoint, region, bucket, accessKeyId, secretAccessKey, pathStyle: true, ...change });
  };

  it('stores a file under its digest and answers with its record', async () => {
    const writer = writerTo();
    const content = randomBytes(300_000);
    const sha256 = createHash('sha256').update(content).digest('hex');
    const metrics = { plddt: 91.5 };
    const record = await writer.putArtifact(content, 'chemical/x-pdb', 'pdb', metrics);
    const Key = `artifacts/${sha256}.pdb`;
    assert.deepEqual(record, {
      uri: `r2://${store.bucket}/${Key}`,
      contentType: 'chemical/x-pdb',
      sizeBytes: 300_000,
      sha256,
      metrics,
    });
    const stored = await reader.send(new GetObjectCommand({ Bucket: store.bucket, Key }));
    assert.equal(stored.ContentType, 'chemical/x-pdb');
    assert.deepEqual(Buffer.from(await stored.Body!.transformToByteArray()), content);
    writer.close();
  });

  it('takes the same file again, and many at once, and an empty one', async () => {
    const writer = writerTo();
    const texts = ['same', 'same', '', ...Array.from({ length: 20 }, (_, i) => `file ${i}`)];
    const records = await Promise.all(texts.map((text) => writer.putArtifact(bytes(text), 'text/plain', 'txt', {})));
    assert.deepEqual(records[0], records[1]);
    for (const [i, { uri, sizeBytes }] of records.entries()) {
      const Key = uri.slice(`r2://${store.bucket}/`.length);
      const { ContentLength } = await reader.send(new HeadObjectCommand({ Bucket: store.bucket, Key }));
      assert.equal(ContentLength, texts[i]!.length);
      assert.equal(sizeBytes, texts[i]!.length);
    }
    writer.close();
  });

  it('keeps what the mock runner makes, as it was made', async () => {
    const writer = writerTo();
    const runner = createMockRunner({ stepSeconds: 0, putArtifact: writer.putArtifact });
    const job = jobOf('af2', { params: { sequence: 'MKTAYIAKQR' } });
    const outcome = await runner.run(job, () => {}, new AbortController().signal);
    assert.ok('output' in outcome, JSON.stringify(outcome));
    assert.equal(outcome.output.artifacts.length, 2);
    for (const { uri, sha256, sizeBytes, contentType } of outcome.output.artifacts) {
      const Key = uri.slice(`r2://${store.bucket}/`.length);
      const stored = await reader.send(new GetObjectCommand({ Bucket: store.bucket, Key }));
      const content = await stored.Body!.transformToByteArray();
      assert.equal(content.byteLength, sizeBytes);
      assert.equal(createHash('sha256').update(content).digest('hex'), sha256);
      assert.equal(stored.ContentType, contentType);
    }
    await runner.close();
    writer.close();
  });

  it('says so when the store refuses', async () => {
    const put = (change: Parameters<typeof writerTo>[0]) =>
      within('the refusal', writerTo(change).putArtifact(bytes('x'), 'text/plain', 'txt', {}));
    await assert.rejects(put({ secretAccessKey: 'wrong' }), { name: 'SignatureDoesNotMatch' });
    await assert.rejects(put({ bucket: 'no-such-bucket' }), { name: 'NoSuchBucket' });
  });

  it('says so when nobody listens', async () => {
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    const writer = writerTo({ endpoint: `http://127.0.0.1:${port}` });
    const put = writer.putArtifact(bytes('x'), 'text/plain', 'txt', {});
    await within('the refusal', assert.rejects(put, { code: 'ECONNREFUSED' }));
    writer.close();
  });

  it('stops with the reason when it is cancelled while the store keeps silent', async () => {
    const cancel = new AbortController();
    const reason = new Error('cancelled');
    const server = createServer(() => cancel.abort(reason));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const writer = writerTo({ endpoint: `http://127.0.0.1:${port}` });
      const put = writer.putArtifact(bytes('x'), 'text/plain', 'txt', {}, cancel.signal);
      await within(
        'the cancelled write to end',
        assert.rejects(put, (error) => error === reason),
      );
      await assert.rejects(
        writer.putArtifact(bytes('x'), 'text/plain', 'txt', {}, cancel.signal),
        (error) => error === reason,
      );
      writer.close();
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
