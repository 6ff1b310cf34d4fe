import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { startFauxqs } from 'fauxqs';
import { BUCKET } from './artifact-records.ts';
import { startTestObjectStore } from './object-store.ts';

export type S3Server = Awaited<ReturnType<(typeof S3_SERVERS)[number]['start']>>;

/** Two stores that speak S3 and have nothing in common, each with an empty bucket. */
export const S3_SERVERS = [
  { name: 'the embedded store', start: startEmbedded },
  { name: 'fauxqs', start: startOther },
] as const;

async function startEmbedded() {
  const { url, close } = await startTestObjectStore();
  return withClient(url, close);
}

async function startOther() {
  const server = await startFauxqs({ port: 0, logger: false });
  server.createBucket(BUCKET);
  return withClient(`http://127.0.0.1:${server.port}`, () => server.stop());
}

function withClient(url: string, stop: () => Promise<void>) {
  const s3 = new S3Client({
    endpoint: url,
    region: 'auto',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test-key', secretAccessKey: 'test-secret' },
  });
  return {
    url,
    async put(key: string, bytes: Uint8Array, contentType = 'chemical/x-pdb'): Promise<void> {
      await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes, ContentType: contentType }));
    },
    async close(): Promise<void> {
      s3.destroy();
      await stop();
    },
  };
}
