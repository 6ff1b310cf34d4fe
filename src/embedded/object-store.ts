import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { formatAddress, listen } from '../shared/listen.ts';
import type { Log } from '../shared/log.ts';
import type { Address } from '../shared/settings.ts';
import { StartupError } from '../shared/startup-error.ts';
import { openBucketFiles } from './object-store/bucket-files.ts';
import { openDrafts } from './object-store/drafts.ts';
import { openUploads } from './object-store/multipart.ts';
import { createOperations } from './object-store/operations.ts';
import { createS3Server } from './object-store/server.ts';
import type { Credentials } from './object-store/sigv4.ts';

export interface ObjectStore {
  /** The endpoint to give to an S3 client, with path-style addresses. */
  readonly url: string;
  readonly port: number;
  /** Lets the requests under way finish, but not for long. */
  close(): Promise<void>;
}

export interface ObjectStoreOptions extends Credentials {
  /** Made when missing, and its parents. */
  readonly dataDir: string;
  /** Port 0 picks a free one. */
  readonly address: Address;
  /** Made when missing. */
  readonly buckets: readonly string[];
  readonly log: Log;
}

const DRAIN_MS = 5_000;

/** Starts a small S3-compatible server that keeps its objects in files. Throws StartupError. */
export async function startObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const { dataDir, address, buckets, log } = options;
  const { files, uploads } = await openFiles(dataDir, buckets).catch((error: Error) => {
    throw new StartupError(`cannot keep objects in ${dataDir}: ${error.message}`, undefined, { cause: error });
  });
  const server = createS3Server(createOperations(files, uploads), options, log);
  const port = await listen(server, address);
  return {
    url: `http://${formatAddress({ host: address.host, port })}`,
    port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      const late = delay(DRAIN_MS, undefined, { ref: false }).then(() => server.closeAllConnections());
      await Promise.race([closed, late]);
      await closed;
    },
  };
}

async function openFiles(dataDir: string, buckets: readonly string[]) {
  const writeDraft = await openDrafts(path.join(dataDir, 'temporary'));
  const files = await openBucketFiles(path.join(dataDir, 'buckets'), writeDraft);
  const uploads = await openUploads(path.join(dataDir, 'uploads'), writeDraft);
  for (const bucket of buckets) await files.createBucket(bucket);
  return { files, uploads };
}
