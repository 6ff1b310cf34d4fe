import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { isRefused, startTestStore, type TestStore } from '../embedded/sdk-store.ts';

let store: TestStore;
before(async () => {
  store = await startTestStore();
});
after(async () => {
  await store?.close();
});

for (const mode of ['WHEN_REQUIRED', 'WHEN_SUPPORTED'] as const) {
  test(`copies, lists and deletes many with checksums ${mode}`, async () => {
    const client = store.connect(mode);
    const source = store.inBucket(`${mode}/copy/source é+%`);
    const first = await client.send(new PutObjectCommand({ ...source, Body: 'one', ContentType: 'text/one' }));
    const CopySource = `${store.bucket}/${encodeURIComponent(source.Key)}`;
    const copy = await client.send(new CopyObjectCommand({ ...store.inBucket(`${mode}/copy/kept`), CopySource }));
    assert.equal(copy.CopyObjectResult?.ETag, first.ETag);
    const changed = { ContentType: 'text/two', MetadataDirective: 'REPLACE' } as const;
    await client.send(new CopyObjectCommand({ ...store.inBucket(`${mode}/copy/new`), CopySource, ...changed }));
    const types = await Promise.all(
      ['kept', 'new'].map((name) => client.send(new HeadObjectCommand(store.inBucket(`${mode}/copy/${name}`)))),
    );
    assert.deepEqual(
      types.map(({ ContentType }) => ContentType),
      ['text/one', 'text/two'],
    );
    assert.equal(await store.read(client, `${mode}/copy/new`), 'one');

    const listing = await client.send(new ListObjectsV2Command({ Bucket: store.bucket, Prefix: `${mode}/copy/` }));
    const keys = listing.Contents!.map(({ Key, Size, ETag }) => ({ Key, Size, ETag }));
    const names = ['kept', 'new', 'source é+%'].map((name) => `${mode}/copy/${name}`);
    assert.deepEqual(
      keys,
      names.map((Key) => ({ Key, Size: 3, ETag: first.ETag })),
    );

    const Objects = [...names, `${mode}/copy/never`].map((Key) => ({ Key }));
    const deleted = await client.send(new DeleteObjectsCommand({ Bucket: store.bucket, Delete: { Objects } }));
    assert.deepEqual(deleted.Deleted, Objects);
    const rest = await client.send(new ListObjectsV2Command({ Bucket: store.bucket, Prefix: `${mode}/copy/` }));
    assert.equal(rest.KeyCount, 0);
  });
}

test('lists page by page, folded at a delimiter', async () => {
  const client = store.connect();
  const keys = ['l/1', 'l/2/a', 'l/2/b', 'l/3/a', 'l/4'];
  for (const key of keys) await client.send(new PutObjectCommand({ ...store.inBucket(key), Body: key }));
  const names: (string | undefined)[] = [];
  let ContinuationToken: string | undefined;
  do {
    const request = { Bucket: store.bucket, Prefix: 'l/', Delimiter: '/', MaxKeys: 1, ContinuationToken };
    const page = await client.send(new ListObjectsV2Command(request));
    assert.equal(page.KeyCount, 1);
    assert.equal(page.IsTruncated, page.NextContinuationToken !== undefined);
    names.push(page.Contents?.[0]?.Key ?? page.CommonPrefixes?.[0]?.Prefix);
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
  assert.deepEqual(names, ['l/1', 'l/2/', 'l/3/', 'l/4']);
  const after3 = { Bucket: store.bucket, Prefix: 'l/', StartAfter: 'l/3/a' };
  const page = await client.send(new ListObjectsV2Command(after3));
  assert.deepEqual(
    page.Contents?.map(({ Key }) => Key),
    ['l/4'],
  );
});

test('makes and names buckets', async () => {
  const client = store.connect();
  await client.send(new CreateBucketCommand({ Bucket: 'another.bucket-1' }));
  await client.send(new HeadBucketCommand({ Bucket: 'another.bucket-1' }));
  await client.send(new GetBucketLocationCommand({ Bucket: 'another.bucket-1' }));
  const { Buckets } = await client.send(new ListBucketsCommand({}));
  assert.deepEqual(
    Buckets?.map(({ Name }) => Name),
    ['another.bucket-1', store.bucket],
  );
  const again = new CreateBucketCommand({ Bucket: 'another.bucket-1' });
  await assert.rejects(client.send(again), isRefused('BucketAlreadyOwnedByYou', 409));
  await assert.rejects(client.send(new CreateBucketCommand({ Bucket: 'Upper' })), isRefused('InvalidBucketName', 400));
  await assert.rejects(client.send(new HeadBucketCommand({ Bucket: 'missing' })), isRefused('NotFound', 404));
  const nowhere = { Bucket: 'missing', Key: 'x' };
  await assert.rejects(client.send(new PutObjectCommand({ ...nowhere, Body: 'x' })), isRefused('NoSuchBucket', 404));
  await assert.rejects(client.send(new GetObjectCommand(nowhere)), isRefused('NoSuchBucket', 404));
});
