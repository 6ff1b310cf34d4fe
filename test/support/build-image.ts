import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { replayDockerfile, type Stage } from './dockerfile.ts';

const BUILD_BOUND_MS = 120_000;
const INSTALL_BOUND_MS = 600_000;

interface Build {
  readonly project: string;
  /** A new one. */
  readonly folder: string;
  readonly stages: readonly Stage[];
  /** Whoever builds; undefined: who runs the test. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
}

/** Does what our Dockerfile says, in folders of its own. Answers with the root of the image's file system. */
export async function buildImage({ project, folder, stages, user }: Build): Promise<string> {
  mkdirSync(folder);
  return replayDockerfile({ project, folder: path.join(folder, 'stages'), stages, run: carryOut });

  /** The RUNs that we have. A Dockerfile with another one has to say here how it can be tried. */
  async function carryOut(command: string, cwd: string, environment: Readonly<Record<string, string>>): Promise<void> {
    if (command === 'npm ci' && !process.env.FOLDFORGE_TEST_NPM_CI) return linkPackages(project, cwd);
    if (command.startsWith('rm -rf ')) {
      // The base image is not here. Nothing of ours may be meant.
      for (const place of command.split(' ').slice(2))
        assert.match(place, /^\/(?:usr\/local\/(?:bin|lib)|opt)\/[\w*]+$/);
      return;
    }
    assert.ok(['npm ci', 'npm run build'].includes(command), `a RUN that is not known here: ${command}`);
    // Installing needs what the user of this machine has set up for its network; building needs nothing and nobody.
    const isOrdinary = command !== 'npm ci';
    const home = mkdtempSync(path.join(folder, 'home-'));
    if (isOrdinary && user) {
      await promisify(execFile)('chown', ['-R', '-h', `${user.uid}:${user.gid}`, cwd, home]);
    }
    const clean = { HOME: home, npm_config_update_notifier: 'false' };
    const env = { ...(isOrdinary ? clean : process.env), PATH: pathWithNode(), ...environment };
    const options = { cwd, env, timeout: isOrdinary ? BUILD_BOUND_MS : INSTALL_BOUND_MS, ...(isOrdinary && user) };
    await promisify(execFile)('/bin/sh', ['-c', `umask 022; ${command}`], options);
  }
}

export function pathWithNode(): string {
  return [path.dirname(process.execPath), process.env.PATH].join(path.delimiter);
}

/**
 * In place of `npm ci`, which would take most of the time of this test: the packages that it has brought for the project, each
 * by a link. `npm run check:deploy` sets FOLDFORGE_TEST_NPM_CI, for the real one.
 */
function linkPackages(project: string, cwd: string): void {
  const { workspaces } = JSON.parse(readFileSync(path.join(cwd, 'package.json'), 'utf8')) as { workspaces: string[] };
  for (const file of ['package-lock.json', ...workspaces.map((folder) => `${folder}/package.json`)]) {
    assert.ok(readFileSync(path.join(cwd, file), 'utf8'), `npm ci needs ${file}`);
  }
  const packages = path.join(project, 'node_modules');
  const folder = path.join(cwd, 'node_modules');
  mkdirSync(folder);
  for (const name of readdirSync(packages).filter((entry) => entry === '.bin' || !entry.startsWith('.'))) {
    symlinkSync(path.join(packages, name), path.join(folder, name));
  }
}
