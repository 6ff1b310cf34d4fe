import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';

export type ChecksumMode = 'WHEN_REQUIRED' | 'WHEN_SUPPORTED';

export interface TestStore extends TestObjectStore {
  /** The SDK's client, with path-style addresses and without retries. */
  connect(mode?: ChecksumMode, secretAccessKey?: string): S3Client;
  inBucket(key: string): { Bucket: string; Key: string };
  read(client: S3Client, key: string, range?: string): Promise<string>;
}

/** A real store, and the SDK to drive it with. */
export async function startTestStore(): Promise<TestStore> {
  const store = await startTestObjectStore();
  const clients: S3Client[] = [];
  const inBucket = (key: string) => ({ Bucket: store.bucket, Key: key });
  return {
    ...store,
    inBucket,
    connect(mode = 'WHEN_REQUIRED', secretAccessKey = store.secretAccessKey) {
      const client = new S3Client({
        endpoint: store.url,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: { accessKeyId: store.accessKeyId, secretAccessKey },
        requestChecksumCalculation: mode,
        responseChecksumValidation: mode,
        maxAttempts: 1,
      });
      clients.push(client);
      return client;
    },
    async read(client, key, range) {
      const { Body } = await client.send(new GetObjectCommand({ ...inBucket(key), Range: range }));
      return await Body!.transformToString();
    },
    async close() {
      for (const client of clients) client.destroy();
      await store.close();
    },
  };
}

/** The ETag of an object with these bytes. */
export function etagOf(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

/** For assert.rejects: a refusal by name and status. */
export function isRefused(name: string, status: number) {
  return (error: unknown) => {
    assert.equal((error as Error).name, name);
    assert.equal((error as { $metadata: { httpStatusCode?: number } }).$metadata.httpStatusCode, status);
    return true;
  };
}
