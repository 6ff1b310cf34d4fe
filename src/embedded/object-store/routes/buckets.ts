import { readText } from '../body.ts';
import type { BucketFiles } from '../bucket-files.ts';
import { type Answer, type Call, xmlAnswer } from '../http.ts';
import { type Page, type PageRequest, pageOf } from '../listing.ts';
import { S3Error } from '../s3-error.ts';
import { encodeUri } from '../uri-encoding.ts';
import { childText, readXml, writeXml } from '../xml.ts';

const MAX_KEYS = 1000;
/** A thousand keys of a thousand bytes, with room for their escapes. */
const MAX_DELETE_BYTES = 4 * 2 ** 20;

/** The operations on buckets and on the service, named as in the S3 API reference. */
export function createBucketRoutes(files: BucketFiles) {
  async function listBuckets(): Promise<Answer> {
    const names = await files.listBuckets();
    return xmlAnswer(writeXml('ListAllMyBucketsResult', { Buckets: { Bucket: names.map((Name) => ({ Name })) } }));
  }

  async function createBucket({ bucket, body }: Call): Promise<Answer> {
    await readText(body, 64 * 2 ** 10); // It may name a region, and we are in all of them.
    if (await files.createBucket(bucket)) return { status: 200, headers: { location: `/${bucket}` } };
    throw new S3Error('BucketAlreadyOwnedByYou', 'The bucket you tried to create already exists, and you own it.');
  }

  async function headBucket({ bucket }: Call): Promise<Answer> {
    await files.requireBucket(bucket);
    return { status: 200 };
  }

  async function getBucketLocation({ bucket }: Call): Promise<Answer> {
    await files.requireBucket(bucket);
    return xmlAnswer(writeXml('LocationConstraint', {}));
  }

  async function listObjectsV2({ bucket, query }: Call): Promise<Answer> {
    const request = readPageRequest(query);
    const page = pageOf(await files.list(bucket, request.prefix), request);
    return xmlAnswer(writePage(bucket, query, request, page));
  }

  async function deleteObjects({ bucket, body }: Call): Promise<Answer> {
    const document = readXml(await readText(body, MAX_DELETE_BYTES));
    const objects = document.children.filter(({ name }) => name === 'Object');
    const keys = objects.map((object) => childText(object, 'Key') ?? '');
    if (keys.length === 0 || keys.length > MAX_KEYS || keys.includes('')) {
      throw new S3Error('MalformedXML', `A list to delete must have between 1 and ${MAX_KEYS} keys.`);
    }
    for (const key of keys) await files.remove(bucket, key, () => {});
    const isQuiet = childText(document, 'Quiet') === 'true';
    return xmlAnswer(writeXml('DeleteResult', { Deleted: isQuiet ? [] : keys.map((Key) => ({ Key })) }));
  }

  return { listBuckets, createBucket, headBucket, getBucketLocation, listObjectsV2, deleteObjects };
}

function readPageRequest(query: URLSearchParams): PageRequest {
  const maxKeys = query.get('max-keys') ?? String(MAX_KEYS);
  if (!/^\d{1,9}$/.test(maxKeys)) throw new S3Error('InvalidArgument', 'max-keys must be a whole number.');
  if (query.get('list-type') !== '2')
    throw new S3Error('NotImplemented', 'Only version 2 of the listing is supported.');
  const token = query.get('continuation-token');
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    maxKeys: Math.min(Number(maxKeys), MAX_KEYS),
    startAfter: query.get('start-after') ?? '',
    previous: token === null ? undefined : Buffer.from(token, 'base64url').toString(),
  };
}

function writePage(bucket: string, query: URLSearchParams, { maxKeys }: PageRequest, page: Page): string {
  const encoding = query.get('encoding-type') ?? undefined;
  if (encoding !== undefined && encoding !== 'url') throw new S3Error('InvalidArgument', 'encoding-type must be url.');
  const name = (key: string) => (encoding ? encodeUri(key).replaceAll('%2F', '/') : key);
  const echo = (parameter: string) => {
    const value = query.get(parameter);
    return value ? name(value) : undefined;
  };
  return writeXml('ListBucketResult', {
    Name: bucket,
    Prefix: name(query.get('prefix') ?? ''),
    Delimiter: echo('delimiter'),
    StartAfter: echo('start-after'),
    ContinuationToken: query.get('continuation-token') ?? undefined,
    NextContinuationToken: page.last === undefined ? undefined : Buffer.from(page.last).toString('base64url'),
    EncodingType: encoding,
    KeyCount: page.objects.length + page.commonPrefixes.length,
    MaxKeys: maxKeys,
    IsTruncated: page.last !== undefined,
    Contents: page.objects.map((object) => ({
      Key: name(object.key),
      LastModified: new Date(object.modifiedMs).toISOString(),
      ETag: object.etag,
      Size: object.sizeBytes,
      StorageClass: 'STANDARD',
    })),
    CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: name(prefix) })),
  });
}
