import { startObjectStore } from '../../src/embedded/object-store.ts';
import { createLog } from '../../src/shared/log.ts';

// A process of its own for a store, to be killed by a test: node object-store-process.ts <dataDir>
const store = await startObjectStore({
  dataDir: process.argv[2]!,
  address: { host: '127.0.0.1', port: 0 },
  accessKeyId: 'test-key',
  secretAccessKey: 'test-secret',
  buckets: ['test-bucket'],
  log: createLog('test', 'silent'),
});
console.log(store.url);
