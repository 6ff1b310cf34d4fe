import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

// While `npm start` runs, this file lets `npm run orchestrator -- apikey …` find the embedded database.
const FILE = 'database-url';

/** Where `npm start` keeps everything. */
export function readDataDir(environment: { readonly FOLDFORGE_DATA_DIR?: string | undefined }): string {
  return path.resolve(environment.FOLDFORGE_DATA_DIR || '.foldforge');
}

/** Tells where the database of `dataDir` is, until the returned function is called. */
export function publishDatabaseUrl(dataDir: string, url: string): () => void {
  const file = path.join(dataDir, FILE);
  writeFileSync(file, `${url}\n`, { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

/** The database that is embedded in `dataDir`; undefined when none is running. */
export function findDatabaseUrl(dataDir: string): string | undefined {
  try {
    return readFileSync(path.join(dataDir, FILE), 'utf8').trim();
  } catch {
    return undefined;
  }
}
