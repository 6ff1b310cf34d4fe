import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readAccounts } from '../../src/embedded/postgres/account.ts';
import { type LaunchOptions, launchPostgres, query, socketFolderOf } from '../embedded/launched-postgres.ts';
import { until } from '../support/waiting.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
chmodSync(folder, 0o777);
const dataDir = path.join(folder, 'postgres');
const launched: Awaited<ReturnType<typeof launchPostgres>>[] = [];

after(async () => {
  for (const { child } of launched) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true, maxRetries: 20 });
});

async function launch(dir = dataDir, options: LaunchOptions = {}) {
  const one = await launchPostgres(dir, options);
  launched.push(one);
  return one;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('a killed parent leaves no server and no folder, and the next start has the data', async () => {
  const first = await launch();
  await query(first.said, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const pid = Number.parseInt(readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8'), 10);
  assert.ok(isAlive(pid));
  await first.stop('SIGKILL');
  await until('the server to end', () => !isAlive(pid), 10_000);
  await until('its folder to go', () => !existsSync(socketFolderOf(first.said)));
  const again = await launch();
  assert.deepEqual(await query(again.said, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await again.stop();
});

test('the next start waits for a server that is still stopping', async () => {
  const first = await launch();
  await query(first.said, 'CREATE TABLE more AS SELECT generate_series(1, 200000) AS n');
  await first.stop('SIGKILL');
  const second = await launch();
  assert.deepEqual(await query(second.said, 'SELECT max(n) FROM more'), [{ max: 200_000 }]);
  await second.stop();
});

test('one of two simultaneous first starts wins, and the other says why it lost', async () => {
  const dir = path.join(folder, 'twins', 'postgres');
  const both = await Promise.all([launch(dir), launch(dir)]);
  const [lost, won] = both.map(({ said }) => said).sort() as [string, string];
  assert.match(lost, /^StartupError: another FoldForge is using .*twins/);
  assert.match(won, /^postgresql:/);
  assert.deepEqual(await query(won, 'SELECT 1 AS one'), [{ one: 1 }]);
  for (const { stop } of both) await stop();
  assert.deepEqual(readdirSync(path.dirname(dir)), ['postgres']);
});

const isRoot = process.getuid?.() === 0;
const nobody = readAccounts(readFileSync('/etc/passwd', 'utf8')).find(({ name }) => name === 'nobody');
const skip = whyNobodyCannot();

function whyNobodyCannot(): string | false {
  if (!isRoot) return 'only root can act for other accounts';
  if (!nobody) return 'there is no account "nobody"';
  const { uid, gid } = nobody;
  try {
    const program = JSON.stringify(import.meta.filename);
    execFileSync(process.execPath, ['-e', `fs.accessSync(${program})`], { uid, gid, cwd: '/', stdio: 'ignore' });
    return false;
  } catch {
    return 'the project lies where the account "nobody" cannot read it';
  }
}

test('an ordinary account and root can take turns', { skip }, async () => {
  const { uid, gid } = nobody!;
  const dir = path.join(folder, 'ordinary');
  for (const account of [{ uid, gid }, {}, { uid, gid }]) {
    const one = await launch(dir, account);
    assert.deepEqual(await query(one.said, 'SELECT 1 AS one'), [{ one: 1 }], one.said);
    assert.equal(statSync(dir).uid, uid);
    await one.stop();
  }
});

test('an account without a name is refused', { skip }, async () => {
  const { said } = await launch(dataDir, { uid: 54_321, gid: 54_321 });
  assert.match(said, /^StartupError: Postgres needs an account with a name, and uid 54321 has none/);
});

test('an account that does not own the directory is refused', { skip }, async () => {
  const { uid, gid } = nobody!;
  const { said } = await launch(dataDir, { uid, gid });
  assert.match(said, /^StartupError: .*postgres/);
});
