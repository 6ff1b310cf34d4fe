import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartupError } from '../../shared/startup-error.ts';
import { type Account, holds } from './account.ts';

/** How long a server may take to stop, and how long one may look healthy whose owner was killed a moment ago. */
const STOPPING_MS = 30_000;
const DYING_MS = 1_500;

/** The answer to a second start on one directory. */
export function inUse(dataDir: string, pid?: number): StartupError {
  return new StartupError(`another FoldForge is using ${dataDir}${pid ? ` (its Postgres is process ${pid})` : ''}`);
}

/**
 * Waits for a server that is still stopping, and removes a lock file whose pid now belongs to another program.
 * Throws StartupError when another server lives on `dataDir`.
 */
export async function waitUntilFree(dataDir: string, account: Account | undefined): Promise<void> {
  const began = Date.now();
  for (;;) {
    const lock = readLockFile(dataDir);
    // The file of a dead server stays: Postgres looks in it for memory that the server's children may still hold.
    if (!lock || (lock.pid > 0 && !isAlive(lock.pid))) return;
    const waitedMs = Date.now() - began;
    if (lock.pid > 0) {
      if (!(await mayBeServerOf(lock.pid, dataDir, account))) return removeLockFile(dataDir);
      if (waitedMs > (lock.isStopping ? STOPPING_MS : DYING_MS)) throw inUse(dataDir, lock.pid);
    } else if (waitedMs > DYING_MS) {
      return removeLockFile(dataDir); // A power cut left it empty, which Postgres would not forgive.
    }
    await delay(20);
  }
}

/** Whether the machine has a process with this id, of any account. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The process that postmaster.pid names in its first line, and the state in its eighth. */
export function readLockFile(dataDir: string): { pid: number; isStopping: boolean } | undefined {
  try {
    const lines = readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Math.abs(Number.parseInt(lines[0] ?? '', 10)) || 0, isStopping: lines[7]?.trim() === 'stopping' };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new StartupError(`cannot read ${dataDir}: ${(error as Error).message}`, undefined, { cause: error });
  }
}

function removeLockFile(dataDir: string): void {
  rmSync(path.join(dataDir, 'postmaster.pid'), { force: true });
}

/*
 * A server runs under the owner of its data directory and in it. Only what shows that a process is something else counts:
 * to remove the lock file of a living server would let a second one ruin the data. (Z is a process that has ended, but that
 * nobody asked about; a container without an init process keeps those.)
 */
const MAY_BE_SERVER: Partial<Record<NodeJS.Platform, string>> = {
  linux: `
read -r stat <"/proc/$1/stat" || exit 0
case $stat in *"(postgres) Z"*) exit 1 ;; *"(postgres) "*) ;; *) exit 1 ;; esac
[ -O "/proc/$1" ] || exit 1
[ ! -e "/proc/$1/cwd" ] || [ "/proc/$1/cwd" -ef . ]`,
  darwin: 'case "$(ps -o comm= -p "$1")" in "" | *postgres) ;; *) exit 1 ;; esac',
};

async function mayBeServerOf(pid: number, dataDir: string, account: Account | undefined): Promise<boolean> {
  return await holds(account, dataDir, MAY_BE_SERVER[process.platform] ?? '', String(pid));
}
