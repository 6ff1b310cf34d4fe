import { globSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// All tests that can share one process, in one: so they can run beside those of `sockets`, which cannot.
const HERE = import.meta.dirname;
for (const file of globSync('!(sockets|support)/**/*.test.ts', { cwd: HERE }).sort()) {
  await import(pathToFileURL(path.join(HERE, file)).href);
}
