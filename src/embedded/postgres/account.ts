import { execFile } from 'node:child_process';
import { lchownSync, readdirSync, readFileSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { StartupError } from '../../shared/startup-error.ts';
import { BRING_YOUR_OWN } from './startup-reason.ts';

/** An account of /etc/passwd. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

// Nothing of the user's environment reaches Postgres: PG* and LD_* variables would change what it does.
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' };

/**
 * The account that Postgres, which refuses root, is to run under; undefined stands for the one we run under.
 * Root drops to the owner of the data directory, or to `postgres`, or to `nobody`. Throws StartupError.
 */
export function choosePostgresAccount(dataDir: string): Account | undefined {
  if (process.getuid?.() !== 0) {
    requireName();
    return undefined;
  }
  if (process.platform !== 'linux') throw new StartupError(`Postgres refuses to run as root; use another account`);
  const accounts = readAccounts(readFileSync('/etc/passwd', 'utf8'));
  const owner = statSync(dataDir, { throwIfNoEntry: false })?.uid;
  const account =
    accounts.find(({ uid }) => uid === owner && uid !== 0) ??
    accounts.find(({ name }) => name === 'postgres') ??
    accounts.find(({ name }) => name === 'nobody');
  if (account) return account;
  throw new StartupError(
    `Postgres refuses to run as root, and there is no account "postgres" or "nobody" to run it under; make one, ${BRING_YOUR_OWN}`,
  );
}

function requireName(): void {
  try {
    os.userInfo();
  } catch {
    throw new StartupError(
      `Postgres needs an account with a name, and uid ${process.getuid?.()} has none in /etc/passwd; run as another account, ${BRING_YOUR_OWN}`,
    );
  }
}

/** The accounts of a passwd(5) file, without its comments and unreadable lines. */
export function readAccounts(passwd: string): Account[] {
  return passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    if (!name || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

/** The part of spawn's options that starts a program under `account` with a clean environment. */
export function launchAs(account: Account | undefined) {
  return { env: ENVIRONMENT, ...(account && { uid: account.uid, gid: account.gid }) };
}

const run = promisify(execFile);

/** Runs a program to its end under `account`; rejects like execFile when it fails. */
export async function runAs(account: Account | undefined, cwd: string, file: string, args: readonly string[]) {
  return await run(file, args, { ...launchAs(account), cwd });
}

/** Whether a shell script, started in `cwd` with `args` as $1 and so on, succeeds under `account`. Rejects when it cannot run. */
export async function holds(account: Account | undefined, cwd: string, script: string, ...args: string[]) {
  try {
    await runAs(account, cwd, '/bin/sh', ['-c', script, 'sh', ...args]);
    return true;
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'number') return false;
    throw error;
  }
}

/** Makes `account` the owner of `dir` and of all that is in it. */
export function giveTo(account: Account, dir: string): void {
  for (const entry of ['.', ...readdirSync(dir, { recursive: true, encoding: 'utf8' })]) {
    lchownSync(path.join(dir, entry), account.uid, account.gid);
  }
}
