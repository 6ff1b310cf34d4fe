import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { EX_UNAVAILABLE, EX_USAGE, StartupError } from '../src/shared/startup-error.ts';
import { git } from './support/machine.ts';

const REPOSITORY = fileURLToPath(new URL('../', import.meta.url));
const NPM_BOUND_MS = 600_000;

/** Another commit, checked out in a folder of its own. */
export interface Checkout {
  readonly commit: string;
  readonly root: string;
}

/**
 * Checks `reference` out, with its packages: ours, when it locks the same ones. The folder is removed when this process
 * ends, however it ends. Throws a StartupError.
 */
export function openCheckout(reference: string): Checkout {
  const commit = git('rev-parse', '--verify', '--quiet', '--end-of-options', `${reference}^{commit}`);
  if (!commit) throw new StartupError(`--compare: git knows no commit ${reference} here`, EX_USAGE);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-bench-'));
  const root = path.join(folder, 'checkout');
  process.once('exit', () => {
    git('worktree', 'remove', '--force', root);
    rmSync(folder, { recursive: true, force: true });
    git('worktree', 'prune');
  });
  if (git('worktree', 'add', '--detach', root, commit) === undefined) {
    throw new StartupError(`git cannot check ${reference} out into ${root}`, EX_UNAVAILABLE);
  }
  if (readLock(root) === readLock(REPOSITORY)) sharePackages(root);
  else installPackages(root, reference);
  return { commit, root };
}

function readLock(root: string): string {
  return readFileSync(path.join(root, 'package-lock.json'), 'utf8');
}

function sharePackages(root: string): void {
  const link = path.join(root, 'node_modules');
  symlinkSync(path.join(REPOSITORY, 'node_modules'), link);
  // Before the folder goes: what it links to must stay.
  process.prependOnceListener('exit', () => unlinkSync(link));
}

function installPackages(root: string, reference: string): void {
  process.stderr.write(`${reference} locks other packages: npm ci\n`);
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: NPM_BOUND_MS,
  });
  if (status === 0) return;
  throw new StartupError(`npm ci fails for ${reference}: ${error?.message ?? `it exits with ${status}`}`);
}
