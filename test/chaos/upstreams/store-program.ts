import { mkdir } from 'node:fs/promises';
import { startObjectStore } from '../../../src/embedded/object-store.ts';
import { createLog } from '../../../src/shared/log.ts';

// An object store in a process of its own, so that it can be killed and stopped: folder, port, bucket, key id, secret.
const [folder, port, bucket, accessKeyId, secretAccessKey] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
await mkdir(folder, { recursive: true });
const log = createLog('object-store', 'warn');
await startObjectStore({
  dataDir: folder,
  address: { host: '127.0.0.1', port: Number(port) },
  buckets: [bucket],
  log,
  accessKeyId,
  secretAccessKey,
});
process.stdout.write('"msg":"ready"\n');
