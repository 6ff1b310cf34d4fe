import { hash } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file of the web pages, with all that is said of it. */
export interface PageFile {
  readonly type: string;
  readonly body: Buffer;
  /** The same bytes as gzip has them, where that is worth it. */
  readonly gzip: Buffer | undefined;
  /** SHA-256 of the body, base64url. */
  readonly digest: string;
}

/** By path, such as `assets/main-3f2a.js`. */
export type PageFolder = ReadonlyMap<string, PageFile>;

/** What `npm run build:pages` has made, in memory. */
export interface Pages {
  readonly docs: PageFolder;
  readonly console: PageFolder;
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
};

/** Reads the pages that were built into `folder`; undefined when none were. Throws for a file of a type it does not know. */
export function readPages(folder: URL): Pages | undefined {
  try {
    const root = fileURLToPath(folder);
    return { docs: readFolder(path.join(root, 'docs')), console: readFolder(path.join(root, 'console')) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function readFolder(folder: string): PageFolder {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = entries.map((entry) => relativeName(folder, entry));
  const packed = new Set(names.filter((name) => name.endsWith('.gz')));
  const pages = names.filter((name) => !packed.has(name));
  return new Map(pages.map((name) => [name, readPage(folder, name, packed.has(`${name}.gz`))]));
}

function readPage(folder: string, name: string, isPacked: boolean): PageFile {
  const type = TYPES[path.extname(name)];
  if (!type) throw new Error(`${name} has no media type`);
  const body = readFileSync(path.join(folder, name));
  const gzip = isPacked ? readFileSync(path.join(folder, `${name}.gz`)) : undefined;
  return { type, body, gzip, digest: hash('sha256', body, 'base64url') };
}

function relativeName(folder: string, { parentPath, name }: Dirent): string {
  return path.relative(folder, path.join(parentPath, name)).split(path.sep).join('/');
}
