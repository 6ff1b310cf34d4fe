import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startObjectStore } from '../../src/embedded/object-store.ts';
import { createLog } from '../../src/shared/log.ts';

export interface TestObjectStore {
  readonly url: string;
  /** Exists and is empty. */
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  close(): Promise<void>;
}

/** A real store in a temporary folder. */
export async function startTestObjectStore(): Promise<TestObjectStore> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  const access = { accessKeyId: 'test-key', secretAccessKey: 'test-secret' };
  const bucket = 'test-bucket';
  const store = await startObjectStore({
    dataDir: folder,
    address: { host: '127.0.0.1', port: 0 },
    buckets: [bucket],
    log: createLog('test', 'warn'),
    ...access,
  });
  return {
    url: store.url,
    bucket,
    ...access,
    async close() {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
