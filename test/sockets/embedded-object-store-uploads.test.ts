import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { etagOf, isRefused, startTestStore, type TestStore } from '../embedded/sdk-store.ts';

let store: TestStore;
before(async () => {
  store = await startTestStore();
});
after(async () => {
  await store?.close();
});

for (const mode of ['WHEN_REQUIRED', 'WHEN_SUPPORTED'] as const) {
  test(`takes a multipart upload with checksums ${mode}`, async () => {
    const client = store.connect(mode);
    const object = store.inBucket(`${mode}/parts`);
    const parts = [randomBytes(5 * 2 ** 20), randomBytes(5 * 2 ** 20 + 1), Buffer.from('the end')];
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ ...object, ContentType: 'application/x-parts', Metadata: { a: 'b' } }),
    );
    const upload = { ...object, UploadId };
    const named = [];
    for (const PartNumber of [3, 1, 2]) {
      const sent = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body: parts[PartNumber - 1]! }));
      assert.equal(sent.ETag, etagOf(parts[PartNumber - 1]!));
      named.push({ PartNumber, ETag: sent.ETag });
    }
    await assert.rejects(client.send(new GetObjectCommand(object)), isRefused('NoSuchKey', 404));
    named.sort((a, b) => a.PartNumber - b.PartNumber);
    const done = await client.send(
      new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: named } }),
    );
    const digests = Buffer.concat(parts.map((part) => createHash('md5').update(part).digest()));
    assert.equal(done.ETag, `${etagOf(digests).slice(0, -1)}-3"`);
    const got = await client.send(new GetObjectCommand(object));
    assert.deepEqual(Buffer.from(await got.Body!.transformToByteArray()), Buffer.concat(parts));
    assert.equal(got.ETag, done.ETag);
    assert.equal(got.ContentType, 'application/x-parts');
    assert.deepEqual(got.Metadata, { a: 'b' });
    await assert.rejects(client.send(new AbortMultipartUploadCommand(upload)), isRefused('NoSuchUpload', 404));
  });
}

test('refuses parts that are unknown, out of order or too small, and forgets an aborted upload', async () => {
  const client = store.connect();
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(store.inBucket('refused')));
  const upload = { ...store.inBucket('refused'), UploadId };
  const parts = [];
  for (const PartNumber of [1, 2]) {
    const { ETag } = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body: 'small' }));
    parts.push({ PartNumber, ETag });
  }
  const complete = (Parts: { PartNumber: number; ETag: string | undefined }[]) =>
    client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
  await assert.rejects(complete(parts), isRefused('EntityTooSmall', 400));
  await assert.rejects(complete(parts.toReversed()), isRefused('InvalidPartOrder', 400));
  await assert.rejects(complete([{ PartNumber: 3, ETag: parts[0]!.ETag }]), isRefused('InvalidPart', 400));
  await assert.rejects(complete([{ PartNumber: 1, ETag: etagOf(Buffer.from('x')) }]), isRefused('InvalidPart', 400));
  const elsewhere = { ...upload, Key: 'elsewhere', PartNumber: 1, Body: 'x' };
  await assert.rejects(client.send(new UploadPartCommand(elsewhere)), isRefused('NoSuchUpload', 404));
  await assert.rejects(
    client.send(new UploadPartCommand({ ...upload, PartNumber: 10_001, Body: 'x' })),
    isRefused('InvalidArgument', 400),
  );
  await client.send(new AbortMultipartUploadCommand(upload));
  await assert.rejects(complete(parts), isRefused('NoSuchUpload', 404));
});
