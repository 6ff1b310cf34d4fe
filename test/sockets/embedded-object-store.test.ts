import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCopyCommand,
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
  test(`puts, heads, gets and deletes an object with checksums ${mode}`, async () => {
    const client = store.connect(mode);
    const object = store.inBucket(`${mode}/model.pdb`);
    const put = await client.send(
      new PutObjectCommand({
        ...object,
        Body: 'ATOM',
        ContentType: 'chemical/x-pdb',
        ContentEncoding: 'identity',
        ContentDisposition: 'attachment; filename="model.pdb"',
        CacheControl: 'no-cache',
        Metadata: { step: 'fold', name: 'a  b' },
      }),
    );
    assert.equal(put.ETag, etagOf(Buffer.from('ATOM')));
    const got = await client.send(new GetObjectCommand({ ...object, ChecksumMode: 'ENABLED' }));
    assert.equal(await got.Body!.transformToString(), 'ATOM');
    const head = await client.send(new HeadObjectCommand(object));
    for (const answer of [got, head]) {
      assert.equal(answer.ContentLength, 4);
      assert.equal(answer.ContentType, 'chemical/x-pdb');
      assert.equal(answer.ContentEncoding, 'identity');
      assert.equal(answer.ContentDisposition, 'attachment; filename="model.pdb"');
      assert.equal(answer.CacheControl, 'no-cache');
      assert.equal(answer.ETag, put.ETag);
      assert.deepEqual(answer.Metadata, { step: 'fold', name: 'a  b' });
      assert.ok(Math.abs(answer.LastModified!.getTime() - Date.now()) < 60_000);
    }
    assert.equal(got.ChecksumCRC32, mode === 'WHEN_SUPPORTED' ? put.ChecksumCRC32! : undefined);
    await client.send(new DeleteObjectCommand(object));
    await client.send(new DeleteObjectCommand(object));
    await assert.rejects(client.send(new GetObjectCommand(object)), isRefused('NoSuchKey', 404));
    await assert.rejects(client.send(new HeadObjectCommand(object)), isRefused('NotFound', 404));
  });

  test(`streams 20 MB with checksums ${mode}`, async () => {
    const client = store.connect(mode);
    const bytes = randomBytes(20_000_000);
    const pieces = [bytes.subarray(0, 7), bytes.subarray(7, 13_000_001), bytes.subarray(13_000_001)];
    const object = store.inBucket(`${mode}/big`);
    const put = await client.send(
      new PutObjectCommand({ ...object, Body: Readable.from(pieces), ContentLength: bytes.length }),
    );
    assert.equal(put.ETag, etagOf(bytes));
    const got = await client.send(new GetObjectCommand(object));
    assert.equal(got.ContentEncoding, undefined);
    const hash = createHash('md5');
    for await (const piece of got.Body as Readable) hash.update(piece);
    assert.equal(`"${hash.digest('hex')}"`, put.ETag);
  });
}

test('reads ranges, and refuses what lies outside', async () => {
  const client = store.connect();
  await client.send(new PutObjectCommand({ ...store.inBucket('digits'), Body: '0123456789' }));
  assert.equal(await store.read(client, 'digits', 'bytes=2-4'), '234');
  assert.equal(await store.read(client, 'digits', 'bytes=7-'), '789');
  assert.equal(await store.read(client, 'digits', 'bytes=-3'), '789');
  assert.equal(await store.read(client, 'digits', 'bytes=0-1,4-5'), '0123456789');
  const part = await client.send(new GetObjectCommand({ ...store.inBucket('digits'), Range: 'bytes=8-99' }));
  assert.equal(part.ContentRange, 'bytes 8-9/10');
  assert.equal(part.ContentLength, 2);
  assert.equal(await part.Body!.transformToString(), '89');
  const head = await client.send(new HeadObjectCommand({ ...store.inBucket('digits'), Range: 'bytes=8-99' }));
  assert.equal(head.ContentLength, 2);
  await assert.rejects(store.read(client, 'digits', 'bytes=10-'), isRefused('InvalidRange', 416));
});

test('keeps an empty object', async () => {
  const client = store.connect();
  await client.send(new PutObjectCommand({ ...store.inBucket('empty'), Body: '' }));
  assert.equal(await store.read(client, 'empty'), '');
  const copy = { ...store.inBucket('empty-copy'), CopySource: `${store.bucket}/empty` };
  await client.send(new CopyObjectCommand(copy));
  assert.equal((await client.send(new HeadObjectCommand(store.inBucket('empty-copy')))).ContentLength, 0);
});

test('answers conditional reads with 304 and 412', async () => {
  const client = store.connect();
  const { ETag } = await client.send(new PutObjectCommand({ ...store.inBucket('conditional'), Body: 'one' }));
  const get = (condition: object) =>
    client.send(new GetObjectCommand({ ...store.inBucket('conditional'), ...condition }));
  await get({ IfMatch: ETag });
  await assert.rejects(get({ IfMatch: '"other"' }), isRefused('PreconditionFailed', 412));
  const notModified = (error: { $metadata: { httpStatusCode?: number } }) => error.$metadata.httpStatusCode === 304;
  await assert.rejects(get({ IfNoneMatch: ETag }), notModified);
  await assert.rejects(get({ IfModifiedSince: new Date(Date.now() + 5_000) }), notModified);
});

test('lets one of many writers create an object, and one of many replace it', async () => {
  const client = store.connect();
  const race = async (condition: object) => {
    const bodies = Array.from({ length: 8 }, (_, index) => `writer ${index} ${JSON.stringify(condition)}`);
    const outcomes = await Promise.allSettled(
      bodies.map((Body) => client.send(new PutObjectCommand({ ...store.inBucket('contested'), Body, ...condition }))),
    );
    const won = outcomes.findIndex(({ status }) => status === 'fulfilled');
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') isRefused('PreconditionFailed', 412)(outcome.reason);
    }
    assert.equal(await store.read(client, 'contested'), bodies[won]);
    return (outcomes[won] as PromiseFulfilledResult<{ ETag?: string }>).value.ETag;
  };
  const ETag = await race({ IfNoneMatch: '*' });
  await race({ IfMatch: ETag });
});

test('keeps keys apart, whatever is in them', async () => {
  const client = store.connect();
  const keys = [
    ...[
      'a',
      'A',
      'é',
      'e\u0301',
      '\u{1f9ec}/x',
      ' lead',
      'trail ',
      'a//b',
      '/a',
      'a/',
      '../../etc/passwd',
      './x',
      '..',
    ],
    ...['?', '#', '%41', '+', '&', '<Key>', '"', "'", '\\', '\n', '\r\n', '\t', '\u0001', '~!*()', 'x'.repeat(1024)],
  ];
  for (const key of keys) await client.send(new PutObjectCommand({ ...store.inBucket(key), Body: `of ${key}` }));
  for (const key of keys) assert.equal(await store.read(client, key), `of ${key}`);
  const list = (EncodingType?: 'url') => client.send(new ListObjectsV2Command({ Bucket: store.bucket, EncodingType }));
  const encoded = (await list('url')).Contents!.map(({ Key }) => decodeURIComponent(Key!));
  for (const key of keys) assert.ok(encoded.includes(key), `${JSON.stringify(key)} is listed`);
  // Control characters have no safe form in XML, which is why clients may ask for the encoding.
  const plain = (await list()).Contents!.map(({ Key }) => Key);
  for (const key of keys) if (key.trim() !== '') assert.ok(plain.includes(key), `${JSON.stringify(key)} is listed`);
  await assert.rejects(
    client.send(new PutObjectCommand({ ...store.inBucket('x'.repeat(1025)), Body: '' })),
    isRefused('KeyTooLongError', 400),
  );
});

test('says so when it does not support an operation, and leaves the object alone', async () => {
  const client = store.connect();
  await client.send(new PutObjectCommand({ ...store.inBucket('plain'), Body: 'plain' }));
  const tags = { ...store.inBucket('plain'), Tagging: { TagSet: [{ Key: 'a', Value: 'b' }] } };
  await assert.rejects(client.send(new PutObjectTaggingCommand(tags)), isRefused('NotImplemented', 501));
  await assert.rejects(
    client.send(new GetObjectTaggingCommand(store.inBucket('plain'))),
    isRefused('NotImplemented', 501),
  );
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(store.inBucket('plain')));
  const part = { ...store.inBucket('plain'), UploadId, PartNumber: 1, CopySource: `${store.bucket}/plain` };
  await assert.rejects(client.send(new UploadPartCopyCommand(part)), isRefused('NotImplemented', 501));
  assert.equal(await store.read(client, 'plain'), 'plain');
});

test('refuses a wrong secret', async () => {
  const client = store.connect('WHEN_REQUIRED', 'another secret');
  const put = new PutObjectCommand({ ...store.inBucket('forged'), Body: 'x' });
  await assert.rejects(client.send(put), isRefused('SignatureDoesNotMatch', 403));
  await assert.rejects(
    store.connect().send(new GetObjectCommand(store.inBucket('forged'))),
    isRefused('NoSuchKey', 404),
  );
});
