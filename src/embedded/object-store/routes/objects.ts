import type { BucketFiles } from '../bucket-files.ts';
import { checksumHeaders } from '../checksums.ts';
import { isNotModified, requireWritable } from '../conditions.ts';
import { type Answer, type Call, xmlAnswer } from '../http.ts';
import { downloadHeaders, readKeptHeaders, validatorHeaders } from '../object-headers.ts';
import { readRange } from '../ranges.ts';
import { S3Error } from '../s3-error.ts';
import { decodeUri } from '../uri-encoding.ts';
import { writeXml } from '../xml.ts';

/** The operations on one object, named as in the S3 API reference. */
export function createObjectRoutes(files: BucketFiles) {
  /** HeadObject too: it differs only in having no body. */
  async function getObject({ method, bucket, key, query, header }: Call): Promise<Answer> {
    const object = await files.open(bucket, key);
    let body: Answer['body'];
    try {
      const { info } = object;
      if (isNotModified(header, info)) return { status: 304, headers: validatorHeaders(info) };
      const headers = downloadHeaders(info, query);
      const ifRange = header('if-range');
      const range =
        ifRange === undefined || ifRange === info.etag ? readRange(header('range'), info.sizeBytes) : undefined;
      if (range === 'unsatisfiable') {
        const contentRange = `bytes */${info.sizeBytes}`;
        throw new S3Error('InvalidRange', 'The requested range is not satisfiable', { 'content-range': contentRange });
      }
      const { start, end } = range ?? { start: 0, end: info.sizeBytes - 1 };
      if (range) headers['content-range'] = `bytes ${start}-${end}/${info.sizeBytes}`;
      else if (header('x-amz-checksum-mode') === 'ENABLED') Object.assign(headers, checksumHeaders(info.checksums));
      headers['content-length'] = String(end - start + 1);
      if (method === 'GET') body = object.read(start, end);
      return { status: range ? 206 : 200, headers, body };
    } finally {
      if (!body) await object.close();
    }
  }

  async function putObject({ bucket, key, headers, header, body }: Call): Promise<Answer> {
    const describe = () => {
      const { sizeBytes, md5, checksums } = body.verified();
      const etag = `"${md5.toString('hex')}"`;
      return { key, sizeBytes, etag, modifiedMs: Date.now(), headers: readKeptHeaders(headers), checksums };
    };
    const put = await files.put(bucket, body.bytes, describe, (found) => requireWritable(header, found));
    return { status: 200, headers: { etag: put.etag, ...checksumHeaders(put.checksums) } };
  }

  async function copyObject({ bucket, key, headers, header }: Call): Promise<Answer> {
    const from = readCopySource(header('x-amz-copy-source') ?? '');
    const isReplacing = header('x-amz-metadata-directive') === 'REPLACE';
    if (from.bucket === bucket && from.key === key && !isReplacing) {
      throw new S3Error('InvalidRequest', 'A copy of an object to itself must replace its metadata.');
    }
    const source = await files.open(from.bucket, from.key);
    try {
      const { info } = source;
      if (isNotModified(header, info, 'x-amz-copy-source-')) {
        throw new S3Error('PreconditionFailed', 'The source of the copy does not meet the conditions.');
      }
      const kept = isReplacing ? readKeptHeaders(headers) : info.headers;
      const describe = () => ({ ...info, key, modifiedMs: Date.now(), headers: kept });
      const bytes = source.read(0, info.sizeBytes - 1);
      const copy = await files.put(bucket, bytes, describe, (found) => requireWritable(header, found));
      const result = { LastModified: new Date(copy.modifiedMs).toISOString(), ETag: copy.etag };
      return xmlAnswer(writeXml('CopyObjectResult', result));
    } finally {
      await source.close();
    }
  }

  async function deleteObject({ bucket, key, header }: Call): Promise<Answer> {
    await files.remove(bucket, key, (found) => requireWritable(header, found));
    return { status: 204 };
  }

  return { getObject, putObject, copyObject, deleteObject };
}

/** bucket/key, percent-encoded, perhaps with a slash before it. */
function readCopySource(source: string): { bucket: string; key: string } {
  const [, bucket, key] = /^\/?([^/]+)\/([^?]+)$/.exec(source) ?? [];
  if (bucket === undefined || key === undefined) {
    throw new S3Error('InvalidArgument', 'x-amz-copy-source must name a bucket and a key, and no version.');
  }
  return { bucket: decodeUri(bucket), key: decodeUri(key) };
}
