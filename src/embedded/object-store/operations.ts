import type { BucketFiles } from './bucket-files.ts';
import type { Handler, ReadHeader, Target } from './http.ts';
import type { Uploads } from './multipart.ts';
import { createBucketRoutes } from './routes/buckets.ts';
import { createObjectRoutes } from './routes/objects.ts';
import { createUploadRoutes } from './routes/uploads.ts';
import { S3Error } from './s3-error.ts';

interface Operation {
  readonly method: string;
  readonly level: 'service' | 'bucket' | 'object';
  /** Query parameters that make a request one of these. */
  readonly needs?: readonly string[];
  /** Query parameters that it may have besides. */
  readonly allows?: readonly string[];
  readonly needsHeader?: string;
  readonly handler: Handler;
}

const LISTING = [
  'prefix',
  'delimiter',
  'max-keys',
  'start-after',
  'continuation-token',
  'encoding-type',
  'fetch-owner',
];
const OVERRIDES = ['type', 'disposition', 'encoding', 'language'].map((name) => `response-content-${name}`);
const DOWNLOAD = [...OVERRIDES, 'response-cache-control', 'response-expires'];

export type FindOperation = (method: string, target: Target, header: ReadHeader) => Handler;

/** All there is to ask for; the first that fits is meant. */
export function createOperations(files: BucketFiles, uploads: Uploads): FindOperation {
  const buckets = createBucketRoutes(files);
  const objects = createObjectRoutes(files);
  const multipart = createUploadRoutes(files, uploads);
  const upload = ['uploadId'];
  const operations: Operation[] = [
    { method: 'GET', level: 'service', handler: buckets.listBuckets },
    { method: 'PUT', level: 'bucket', handler: buckets.createBucket },
    { method: 'HEAD', level: 'bucket', handler: buckets.headBucket },
    { method: 'GET', level: 'bucket', needs: ['location'], handler: buckets.getBucketLocation },
    { method: 'GET', level: 'bucket', needs: ['list-type'], allows: LISTING, handler: buckets.listObjectsV2 },
    { method: 'POST', level: 'bucket', needs: ['delete'], handler: buckets.deleteObjects },
    { method: 'POST', level: 'object', needs: ['uploads'], handler: multipart.createMultipartUpload },
    { method: 'PUT', level: 'object', needs: ['partNumber', ...upload], handler: multipart.uploadPart },
    { method: 'POST', level: 'object', needs: upload, handler: multipart.completeMultipartUpload },
    { method: 'DELETE', level: 'object', needs: upload, handler: multipart.abortMultipartUpload },
    { method: 'GET', level: 'object', allows: DOWNLOAD, handler: objects.getObject },
    { method: 'HEAD', level: 'object', allows: DOWNLOAD, handler: objects.getObject },
    { method: 'PUT', level: 'object', needsHeader: 'x-amz-copy-source', handler: objects.copyObject },
    { method: 'PUT', level: 'object', handler: objects.putObject },
    { method: 'DELETE', level: 'object', handler: objects.deleteObject },
  ];

  return (method, { bucket, key, query }, header) => {
    const level = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object';
    const operation = operations.find(
      (known) =>
        known.method === method &&
        known.level === level &&
        (known.needs ?? []).every((name) => query.has(name)) &&
        (known.needsHeader === undefined || header(known.needsHeader) !== undefined),
    );
    if (!operation) throw new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.');
    // What we would have to ignore, such as ?tagging, makes another operation of a request.
    const known = [...(operation.needs ?? []), ...(operation.allows ?? []), 'x-id'];
    const unknown = [...query.keys()].find((name) => !known.includes(name) && !name.startsWith('X-Amz-'));
    if (unknown === undefined) return operation.handler;
    throw new S3Error('NotImplemented', `The parameter ${unknown} is not supported here.`);
  };
}
