import { readText } from '../body.ts';
import type { BucketFiles } from '../bucket-files.ts';
import { CHECKSUM_ALGORITHMS, checksumHeaders } from '../checksums.ts';
import { requireWritable } from '../conditions.ts';
import { type Answer, type Call, xmlAnswer } from '../http.ts';
import type { NamedPart, Uploads } from '../multipart.ts';
import { readKeptHeaders } from '../object-headers.ts';
import { S3Error } from '../s3-error.ts';
import { childText, readXml, writeXml } from '../xml.ts';

const MAX_PARTS = 10_000;
const MAX_LIST_BYTES = 8 * 2 ** 20;

/** The operations on multipart uploads, named as in the S3 API reference. */
export function createUploadRoutes(files: BucketFiles, uploads: Uploads) {
  async function createMultipartUpload({ bucket, key, headers }: Call): Promise<Answer> {
    await files.requireBucket(bucket);
    const uploadId = await uploads.begin({ bucket, key, headers: readKeptHeaders(headers) });
    return xmlAnswer(writeXml('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: uploadId }));
  }

  async function uploadPart({ bucket, key, query, header, body }: Call): Promise<Answer> {
    if (header('x-amz-copy-source')) throw new S3Error('NotImplemented', 'A part cannot be a copy here.');
    const uploadId = query.get('uploadId') ?? '';
    const partNumber = Number(query.get('partNumber'));
    if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > MAX_PARTS) {
      throw new S3Error('InvalidArgument', `Part number must be an integer between 1 and ${MAX_PARTS}.`);
    }
    await uploads.find(uploadId, bucket, key);
    const { etag, checksums } = await uploads.putPart(uploadId, partNumber, body.bytes, () => {
      const { md5, ...verified } = body.verified();
      return { ...verified, key, etag: `"${md5.toString('hex')}"`, modifiedMs: Date.now(), headers: {} };
    });
    return { status: 200, headers: { etag, ...checksumHeaders(checksums) } };
  }

  async function completeMultipartUpload({ bucket, key, query, header, body }: Call): Promise<Answer> {
    const uploadId = query.get('uploadId') ?? '';
    if (CHECKSUM_ALGORITHMS.some((name) => header(`x-amz-checksum-${name}`) !== undefined)) {
      throw new S3Error('NotImplemented', 'The checksum of a whole multipart object is not supported here.');
    }
    const parts = readParts(await readText(body, MAX_LIST_BYTES));
    const { headers } = await uploads.find(uploadId, bucket, key);
    const { bytes, sizeBytes, etag } = await uploads.join(uploadId, parts);
    if (Number(header('x-amz-mp-object-size') ?? sizeBytes) !== sizeBytes) {
      throw new S3Error('InvalidRequest', 'The parts do not have x-amz-mp-object-size bytes.');
    }
    const describe = () => ({ key, sizeBytes, etag, modifiedMs: Date.now(), headers, checksums: {} });
    await files.put(bucket, bytes, describe, (found) => requireWritable(header, found));
    await uploads.remove(uploadId);
    const result = { Location: `/${bucket}/${key}`, Bucket: bucket, Key: key, ETag: etag };
    return xmlAnswer(writeXml('CompleteMultipartUploadResult', result));
  }

  async function abortMultipartUpload({ bucket, key, query }: Call): Promise<Answer> {
    const uploadId = query.get('uploadId') ?? '';
    await uploads.find(uploadId, bucket, key);
    await uploads.remove(uploadId);
    return { status: 204 };
  }

  return { createMultipartUpload, uploadPart, completeMultipartUpload, abortMultipartUpload };
}

function readParts(document: string): NamedPart[] {
  const parts = readXml(document).children.filter(({ name }) => name === 'Part');
  if (parts.length === 0 || parts.length > MAX_PARTS) {
    throw new S3Error('MalformedXML', `A list of parts must have between 1 and ${MAX_PARTS} of them.`);
  }
  return parts.map((part) => ({
    partNumber: Number(childText(part, 'PartNumber')),
    etag: childText(part, 'ETag') ?? '',
  }));
}
