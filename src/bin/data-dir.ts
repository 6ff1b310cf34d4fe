import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';

// While `npm start` runs, this file lets `npm run orchestrator -- apikey …` find the embedded database.
const DATABASE_URL_FILE = 'database-url';

/** Where `npm start` keeps everything. */
export function readDataDir(environment: { readonly FOLDFORGE_DATA_DIR?: string | undefined }): string {
  return path.resolve(environment.FOLDFORGE_DATA_DIR || '.foldforge');
}

/** Makes the folder and those above it. Throws StartupError. */
export function createDataDir(dataDir: string): void {
  try {
    createFolder(dataDir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartupError(`cannot keep data in ${dataDir} (${code})`, EX_CONFIG, { cause: error });
  }
}

// One by one: mkdir's own `recursive` never returns in a file system that takes no folders, such as /proc.
function createFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  if (path.dirname(folder) !== folder) createFolder(path.dirname(folder));
  mkdirSync(folder);
}

/** Tells where the database of `dataDir` is, until the returned function is called. */
export function publishDatabaseUrl(dataDir: string, url: string): () => void {
  const file = path.join(dataDir, DATABASE_URL_FILE);
  writeFileSync(file, `${url}\n`, { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

/** The database that is embedded in `dataDir`; undefined when none is running. */
export function findDatabaseUrl(dataDir: string): string | undefined {
  try {
    return readFileSync(path.join(dataDir, DATABASE_URL_FILE), 'utf8').trim();
  } catch {
    return undefined;
  }
}
