import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { StartupError } from '../../shared/startup-error.ts';
import { type Account, holds } from './account.ts';

// A socket's path is kept in 108 bytes on Linux and 104 on macOS, and ends with a zero.
const MAX_SOCKET_PATH_BYTES = process.platform === 'darwin' ? 103 : 107;
const LONGEST_INSIDE = '/foldforge-XXXXXX/.s.PGSQL.5432';

/**
 * Makes the folder for the server's socket, which only `account` (or we) can open.
 * It lies in the system's folder for temporary files, or in another one when that path is too long or closed to the account.
 */
export async function createRunFolder(account: Account | undefined): Promise<string> {
  const faults: string[] = [];
  for (const base of new Set([os.tmpdir(), '/tmp', '/var/tmp', '/dev/shm'])) {
    if (Buffer.byteLength(base + LONGEST_INSIDE) > MAX_SOCKET_PATH_BYTES) {
      faults.push(`${base} is too long for a socket's path`);
      continue;
    }
    try {
      const dir = mkdtempSync(path.join(base, 'foldforge-'));
      if (account) chownSync(dir, account.uid, account.gid);
      if (await holds(account, '/', 'cd "$1"', dir)) return dir;
      rmSync(dir, { recursive: true });
      faults.push(`${account?.name ?? 'this account'} cannot enter ${base}`);
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  throw new StartupError(`no folder for the socket of Postgres: ${faults.join('; ')}; set TMPDIR to a short, open one`);
}
