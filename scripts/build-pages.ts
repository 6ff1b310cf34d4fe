import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import { build } from 'vite';
import { buildDocsPage } from './docs-page/build-docs-page.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
/** Where the gateway looks for them, seen from its sources as from the bundle. */
const PAGES = path.join(ROOT, 'dist/pages');
/** What the pages are made of. */
const SOURCES = [
  'console',
  'scripts/docs-page',
  'scripts/build-pages.ts',
  'examples/workflows',
  'src/gen',
  'package-lock.json',
];
/** Says of which sources the pages were made. */
const STAMP = 'made-of';

const PACKED = /\.(?:css|html|js|json|map|svg|txt)$/;
const WORTH_PACKING_BYTES = 1_024;

/**
 * Builds the pages of `/docs` and `/console` unless they are there and made of these sources. Several may do so at once.
 * Answers whether it built them.
 */
export async function ensurePages(): Promise<boolean> {
  const digest = digestSources();
  const stamp = path.join(PAGES, STAMP);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return false;
  mkdirSync(path.dirname(PAGES), { recursive: true });
  const made = mkdtempSync(path.join(path.dirname(PAGES), '.pages-'));
  // A temporary folder is its maker's alone, but the gateway may run as another user.
  chmodSync(made, 0o755);
  try {
    await build({
      configFile: path.join(ROOT, 'console/vite.config.ts'),
      root: path.join(ROOT, 'console'),
      build: { outDir: path.join(made, 'console'), emptyOutDir: true },
      logLevel: 'warn',
    });
    await buildDocsPage(path.join(made, 'docs'));
    pack(made);
    writeFileSync(path.join(made, STAMP), digest);
    replaceFolder(made, PAGES);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return true;
}

/** Puts the pages, built if need be, into another folder, such as that of the bundle. */
export async function copyPages(folder: string): Promise<void> {
  await ensurePages();
  if (path.resolve(folder) !== PAGES) cpSync(PAGES, folder, { recursive: true });
}

function replaceFolder(made: string, folder: string): void {
  const old = `${made}-old`;
  try {
    renameSync(folder, old);
  } catch (error) {
    // There were none, or another one is replacing them, too.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  try {
    renameSync(made, folder);
  } catch (error) {
    // Another one was quicker, with the same pages.
    if (!existsSync(path.join(folder, STAMP))) throw error;
  }
  rmSync(old, { recursive: true, force: true });
}

function digestSources(): string {
  const digest = createHash('sha256');
  for (const source of SOURCES) {
    for (const file of listFiles(path.join(ROOT, source))) {
      digest
        .update(`${path.relative(ROOT, file)}\0`)
        .update(readFileSync(file))
        .update('\0');
    }
  }
  return digest.digest('hex');
}

function listFiles(place: string): string[] {
  if (!readIsFolder(place)) return [place];
  const entries = readdirSync(place, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map(({ parentPath, name }) => path.join(parentPath, name)).toSorted();
}

function readIsFolder(place: string): boolean {
  try {
    readdirSync(place);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw error;
  }
}

/** Lays beside each large text what gzip makes of it. */
function pack(folder: string): void {
  for (const file of listFiles(folder).filter((name) => PACKED.test(name))) {
    const bytes = readFileSync(file);
    if (bytes.length < WORTH_PACKING_BYTES) continue;
    writeFileSync(`${file}.gz`, gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }));
  }
}

if (import.meta.main) {
  const startedAt = performance.now();
  const built = await ensurePages();
  if (built) process.stdout.write(`Built the pages in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.\n`);
}
