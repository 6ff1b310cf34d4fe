import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { startProgram } from '../support/process.ts';

describe('npm start refuses, in one line', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'file');
  writeFileSync(file, '');
  const ports = {
    FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
    FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
    FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
  };

  const cases: [what: string, env: Record<string, string>, exitCode: number, line: RegExp][] = [
    ['a bad setting of the gateway', { FOLDFORGE_GATEWAY__BODY_LIMIT_BYTES: '1' }, 78, /BODY_LIMIT_BYTES is "1"/],
    ['a bad setting of the orchestrator', { FOLDFORGE_ORCH__CONCURRENCY: 'all' }, 78, /CONCURRENCY is "all"/],
    ['a public address with dev-token', { FOLDFORGE_GATEWAY__BIND_ADDR: '0.0.0.0:0' }, 78, /dev-token/],
    ['a sidecar that is no address', { FOLDFORGE_ORCH__SIDECAR_AF2: 'af2' }, 78, /SIDECAR_AF2/],
    ['a data directory that is a file', { FOLDFORGE_DATA_DIR: file }, 78, /cannot keep data in/],
    ['a data directory that cannot be', { FOLDFORGE_DATA_DIR: '/proc/none' }, 78, /cannot keep data in/],
    [
      'a database that cannot be reached',
      { FOLDFORGE_ORCH__DATABASE_URL: 'postgresql://me:canary@127.0.0.1:1/x' },
      69,
      /cannot use the database at 127\.0\.0\.1:1, database x: nothing listens there/,
    ],
    [
      'an object store for one program alone',
      { FOLDFORGE_ORCH__R2_ENDPOINT: 'http://127.0.0.1:1' },
      78,
      /R2_ENDPOINT for both programs/,
    ],
  ];
  for (const [what, env, exitCode, line] of cases) {
    it(what, async () => {
      const dataDir = mkdtempSync(path.join(folder, 'data-'));
      const program = startProgram('dev', { env: { FOLDFORGE_DATA_DIR: dataDir, ...ports, ...env } });
      assert.equal(await program.exits(), exitCode, program.stderr());
      assert.match(program.stderr(), line);
      assert.match(program.stderr(), /^foldforge: [^\n]+\n$/, 'one line');
      assert.doesNotMatch(program.stdout() + program.stderr(), /canary/);
    });
  }

  it('a port in use, and leaves nothing running', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const dataDir = mkdtempSync(path.join(folder, 'data-'));
    const env = { FOLDFORGE_DATA_DIR: dataDir, ...ports, FOLDFORGE_GATEWAY__BIND_ADDR: `127.0.0.1:${port}` };
    const refused = startProgram('dev', { env });
    assert.equal(await refused.exits(40_000), 69);
    assert.equal(refused.stderr(), `foldforge: cannot listen on 127.0.0.1:${port}: the port is in use\n`);
    holder.close();
    const again = startProgram('dev', { env });
    await again.prints(/is ready at/, 40_000);
    again.kill('SIGTERM');
    assert.equal(await again.exits(), 0);
  });
});
