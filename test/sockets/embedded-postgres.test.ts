import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type EmbeddedPostgres, startPostgres } from '../../src/embedded/postgres.ts';
import { createLog } from '../../src/shared/log.ts';
import { query, socketFolderOf } from '../embedded/launched-postgres.ts';
import { until, within } from '../support/waiting.ts';

let folder: string;
let dataDir: string;
const written: string[] = [];
const log = createLog('test', 'debug', { write: (line) => written.push(line) });
const running = new Set<EmbeddedPostgres>();
const strangers = new Set<ChildProcess>();

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  await chmod(folder, 0o755);
  dataDir = path.join(folder, 'nested', 'post gres');
});
after(async () => {
  for (const postgres of running) await postgres.close();
  for (const stranger of strangers) stranger.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

async function start(dir = dataDir): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres({ dataDir: dir, log, fsync: false });
  running.add(postgres);
  return postgres;
}

async function stop(postgres: EmbeddedPostgres): Promise<void> {
  await within('Postgres to stop', postgres.close(), 10_000);
  running.delete(postgres);
}

const serverPid = () => Number(readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
const isStartupError = (message: RegExp) => ({ name: 'StartupError', message });

test('makes a data directory with a database in it, behind a socket that others cannot open', async () => {
  const postgres = await start();
  assert.match(postgres.url, /^postgresql:\/\/postgres@localhost:5432\/foldforge\?host=%2F/);
  const [row] = await query(postgres.url, 'SELECT current_database(), current_user, version()');
  assert.equal(row?.current_database, 'foldforge');
  assert.equal(row?.current_user, 'postgres');
  assert.match(String(row?.version), /^PostgreSQL 18/);
  const settings = await query(postgres.url, "SELECT setting FROM pg_settings WHERE name = 'listen_addresses'");
  assert.deepEqual(settings, [{ setting: '' }]);
  assert.equal((await stat(socketFolderOf(postgres.url))).mode & 0o777, 0o700);
  assert.equal((await stat(dataDir)).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(path.dirname(dataDir)), ['post gres']);
  await query(postgres.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await stop(postgres);
  await postgres.close();
  assert.equal(existsSync(socketFolderOf(postgres.url)), false);
  assert.equal(existsSync(path.join(dataDir, 'postmaster.pid')), false);
});

test('keeps the data for the next start, and nothing of the environment', async () => {
  const postgres = await start();
  assert.deepEqual(await query(postgres.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  if (process.platform === 'linux') {
    const environment = readFileSync(`/proc/${serverPid()}/environ`, 'utf8').split('\0');
    const names = environment.filter(Boolean).map((entry) => entry.split('=')[0]!);
    const own = ['LC_ALL', 'PATH', 'PWD', 'TZ', 'OLDPWD', 'SHLVL', '_'];
    assert.deepEqual(
      names.filter((name) => !own.includes(name) && !name.startsWith('PG')),
      [],
    );
  }
  await stop(postgres);
  assert.ok(written.some((line) => JSON.parse(line).level === 'debug' && /ready to accept/.test(line)));
});

test('refuses a second start on the same directory, and leaves the first alone', async () => {
  const postgres = await start();
  await assert.rejects(start(), isStartupError(new RegExp(`^another FoldForge is using .*post gres.*${serverPid()}`)));
  await symlink(dataDir, path.join(folder, 'link'));
  await assert.rejects(start(path.join(folder, 'link')), isStartupError(/^another FoldForge is using /));
  assert.deepEqual(await query(postgres.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await stop(postgres);
});

/** What a killed server leaves behind, with `pid` in it. */
function lockFile(pid: number | string): string {
  return [pid, dataDir, 1_700_000_000, 5432, '/tmp/gone', '', '', 'ready', ''].join('\n');
}

async function writeLockFile(text: string): Promise<void> {
  const file = path.join(dataDir, 'postmaster.pid');
  await writeFile(file, text, { mode: 0o600 });
  const { uid, gid } = await stat(dataDir);
  await chown(file, uid, gid);
}

/** A shell script of the data directory's owner that prints the id of a process, and then goes on. */
async function startStranger(script: string, ...args: string[]): Promise<number> {
  const { uid, gid } = await stat(dataDir);
  const account = process.getuid?.() === 0 ? { uid, gid } : {};
  const stranger = spawn('/bin/sh', ['-c', script, 'sh', ...args], { stdio: ['ignore', 'pipe', 'ignore'], ...account });
  strangers.add(stranger);
  const [line] = await within('the stranger to start', once(stranger.stdout!, 'data'));
  return Number(line);
}

/** A program that is called postgres, but sleeps. */
async function makeSleeper(): Promise<string> {
  const bin = await mkdtemp(path.join(folder, 'bin-'));
  await chmod(bin, 0o755);
  await symlink('/bin/sleep', path.join(bin, 'postgres'));
  return path.join(bin, 'postgres');
}

/** It ends when the shell, which would have asked how, has become a program that does not. */
async function startEnded(): Promise<number> {
  const pid = await startStranger('"$1" 0.3 & echo $!; exec sleep 60', await makeSleeper());
  await until('it to end', () => readFileSync(`/proc/${pid}/stat`, 'utf8').includes('(postgres) Z'));
  return pid;
}

for (const [what, pidOf] of [
  ['of a dead process', () => 2 ** 22 + 1],
  ['of this process', () => process.pid],
  ['that another program of the same account has now', () => startStranger('echo $$; exec sleep 60')],
  ['that another Postgres has now', async () => startStranger('echo $$; exec "$1" 60', await makeSleeper())],
  ['of a server that has ended, but was not reaped', startEnded],
] as const) {
  const skip = process.platform !== 'linux' && /Postgres|reaped/.test(what) && 'needs /proc';
  test(`starts over a lock file with the id ${what}`, { skip }, async () => {
    await writeLockFile(lockFile(await pidOf()));
    const postgres = await start();
    assert.deepEqual(await query(postgres.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
    await stop(postgres);
  });
}

test('starts over an empty lock file, which a power cut can leave', async () => {
  await writeLockFile('');
  const postgres = await start();
  await stop(postgres);
});

test('starts anew beside the remains of a start that was killed while it made the directory', async () => {
  const dir = path.join(folder, 'halves', 'postgres');
  const remains = [`${dir}.new-${2 ** 22 + 1}`, `${dir}.new-${process.pid}`];
  for (const remain of remains) {
    await mkdir(path.join(remain, 'base'), { recursive: true });
    await writeFile(path.join(remain, 'PG_VERSION'), '18\n');
  }
  await mkdir(`${dir}.new-papers`);
  await mkdir(dir); // Someone may have made it in advance, empty.
  const postgres = await start(dir);
  await stop(postgres);
  assert.deepEqual(readdirSync(path.dirname(dir)).sort(), ['postgres', 'postgres.new-papers']);
});

test('refuses the data of another major version, and names both', async () => {
  const dir = path.join(folder, 'older');
  await mkdir(dir);
  await writeFile(path.join(dir, 'PG_VERSION'), '15\n');
  await assert.rejects(
    start(dir),
    isStartupError(/older was made by Postgres 15, and the embedded one is 18.*DATABASE_URL/),
  );
});

test('refuses a folder with something else in it, and a file', async () => {
  await assert.rejects(start(folder), isStartupError(/has files in it, but no Postgres data/));
  const file = path.join(folder, 'file');
  await writeFile(file, '');
  await assert.rejects(start(file), isStartupError(/cannot run Postgres in .*file/));
  await assert.rejects(start(path.join(file, 'below')), isStartupError(/cannot run Postgres in .*below/));
});

test('says in one line what the server has against the directory', async () => {
  const dir = path.join(folder, 'broken');
  await mkdir(dir, { mode: 0o700 });
  await writeFile(path.join(dir, 'PG_VERSION'), '18\n');
  await assert.rejects(start(dir), isStartupError(/^Postgres did not start in .*broken: .*postgresql\.conf[^\n]*$/));
});

test('tells the log when the server is killed, and starts again with what it had promised to keep', async () => {
  const postgres = await startPostgres({ dataDir, log });
  running.add(postgres);
  assert.deepEqual(await query(postgres.url, 'SHOW fsync'), [{ fsync: 'on' }]);
  await query(postgres.url, 'CREATE TABLE survived AS SELECT 7 AS answer');
  process.kill(serverPid(), 'SIGKILL');
  await until('the log to tell', () => written.some((line) => /the embedded Postgres ended/.test(line)));
  await stop(postgres);
  const again = await start();
  assert.deepEqual(await query(again.url, 'SELECT answer FROM survived'), [{ answer: 7 }]);
  await stop(again);
});
