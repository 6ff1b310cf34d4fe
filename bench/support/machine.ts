import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What the numbers of a report were measured on. */
export function describeMachine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / 1024 / 1024),
    system: `${type()} ${release()}`,
    node: process.version,
  };
}

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

/**
 * The commit that is checked out, with `-dirty` when files have been changed since, other than saved results; `unknown`
 * without git.
 */
export function readCommit(): string {
  const commit = git('rev-parse', 'HEAD');
  if (commit === undefined) return 'unknown';
  const changes = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':(exclude)bench/results');
  return changes === '' ? commit : `${commit}-dirty`;
}

/** What git says in this repository, or undefined when it fails or is not there. */
export function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, {
    cwd: REPOSITORY,
    env: { ...process.env, GIT_OPTIONAL_LOCKS: '0' },
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : undefined;
}
