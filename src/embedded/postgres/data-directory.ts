import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { StartupError } from '../../shared/startup-error.ts';
import { type Account, giveTo, holds, runAs } from './account.ts';
import type { PostgresBinaries } from './binaries.ts';
import { isAlive, waitUntilFree } from './lock-file.ts';
import { BRING_YOUR_OWN, reasonIn } from './startup-reason.ts';

export interface DataDirectoryOptions {
  /** An absolute path whose parent exists. */
  readonly dataDir: string;
  readonly binaries: PostgresBinaries;
  readonly account: Account | undefined;
  readonly fsync: boolean;
}

/** Leaves a whole data directory at `dataDir`, of the right version and owner, that no server is using. Throws StartupError. */
export async function prepareDataDirectory(options: DataDirectoryOptions): Promise<void> {
  const { dataDir, binaries, account } = options;
  removeHalfMade(dataDir);
  const versionFile = path.join(dataDir, 'PG_VERSION');
  if (!existsSync(versionFile)) {
    if (existsSync(dataDir) && readdirSync(dataDir).length > 0) {
      throw new StartupError(
        `${dataDir} has files in it, but no Postgres data; move them away or choose another folder`,
      );
    }
    await makeDataDirectory(options);
  }
  const major = Number(readFileSync(versionFile, 'utf8'));
  if (major !== binaries.major) {
    throw new StartupError(
      `${dataDir} was made by Postgres ${major}, and the embedded one is ${binaries.major}; move it away, ${BRING_YOUR_OWN}`,
    );
  }
  // A copy or a backup brought back by root belongs to root, and Postgres would refuse it.
  if (account && statSync(dataDir).uid !== account.uid) giveTo(account, dataDir);
  await waitUntilFree(dataDir, account);
}

/** initdb works beside the place, and one rename puts its finished work there: a crash leaves nothing half-made. */
async function makeDataDirectory({ dataDir, binaries, account, fsync }: DataDirectoryOptions): Promise<void> {
  const fresh = `${dataDir}.new-${process.pid}`;
  try {
    mkdirSync(fresh, { mode: 0o700 });
    if (account) giveTo(account, fresh);
    const { cwd, dir } = await findWayTo(fresh, account);
    const auth = ['--username=postgres', '--auth-local=trust', '--auth-host=reject'];
    const text = ['--encoding=UTF8', '--locale=C'];
    const args = ['-D', dir, ...auth, ...text, '--no-instructions', ...(fsync ? [] : ['--no-sync'])];
    await runAs(account, cwd, binaries.initdb, args);
    renameSync(fresh, dataDir);
    if (fsync) syncDirectory(path.dirname(dataDir));
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (existsSync(path.join(dataDir, 'PG_VERSION'))) return; // Another start was quicker; the lock decides who serves.
    const { stderr } = error as { stderr?: string };
    const reason = stderr === undefined ? (error as Error).message : reasonIn(stderr);
    throw new StartupError(`cannot make a database in ${dataDir}: ${reason}`, undefined, { cause: error });
  }
}

/** Removes what starts that were killed during initdb left beside `dataDir`. */
function removeHalfMade(dataDir: string): void {
  const parent = path.dirname(dataDir);
  for (const name of readdirSync(parent)) {
    const pid = Number(new RegExp(`^${RegExp.escape(path.basename(dataDir))}\\.new-(\\d+)$`).exec(name)?.[1]);
    // A name with our own pid is from before: a container gives the same few pids again and again.
    if (!Number.isNaN(pid) && (pid === process.pid || !isAlive(pid))) {
      rmSync(path.join(parent, name), { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/**
 * Where to start a program of `account`, and what to call `dir` there, so that it can get in.
 * Folders above, such as /root, may be closed to the account; the folder a program is started in stays open to it.
 */
export async function findWayTo(dir: string, account: Account | undefined): Promise<{ cwd: string; dir: string }> {
  if (!account || (await holds(account, '/', 'cd "$1"', dir))) return { cwd: '/', dir };
  return { cwd: dir, dir: '/proc/self/cwd' };
}

function syncDirectory(dir: string): void {
  const handle = openSync(dir, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
