import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { startProgram } from '../support/process.ts';

describe('npm run demo', () => {
  const cwd = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  after(() => rmSync(cwd, { recursive: true, force: true }));

  it('shows each step, leaves the files with their sha256 checked, and exits 0', async () => {
    const temporary = mkdtempSync(path.join(cwd, 'tmp-'));
    const program = startProgram('demo', { cwd, env: { TMPDIR: temporary } });
    assert.equal(await program.exits(60_000), 0, program.stdout() + program.stderr());
    for (const step of ['backbones (rfdiffusion)', 'sequences (proteinmpnn)', 'complex (boltz)', 'monomer (af2)']) {
      assert.ok(program.stdout().includes(`${step}  RUNNING`), step);
      assert.ok(program.stdout().includes(`${step}  SUCCEEDED 100%`), step);
    }
    const listed = [...program.stdout().matchAll(/(demo-output\/\S+) {2}(\d+) bytes {2}sha256 ([0-9a-f]{64})/g)];
    assert.deepEqual(
      listed.map(([, file]) => path.basename(file!)).sort(),
      readdirSync(path.join(cwd, 'demo-output')).sort(),
    );
    for (const [, file, size, sha256] of listed) {
      const bytes = readFileSync(path.join(cwd, file!));
      assert.deepEqual([bytes.length, createHash('sha256').update(bytes).digest('hex')], [Number(size), sha256]);
    }
    assert.deepEqual(readdirSync(temporary), [], 'nothing is left in the temporary folder');
  });

  it('stops everything when it is interrupted, while it starts and while it runs', async () => {
    for (const moment of [/Starting/, /RUNNING/]) {
      const temporary = mkdtempSync(path.join(cwd, 'tmp-'));
      const program = startProgram('demo', { cwd, env: { TMPDIR: temporary } });
      await program.prints(moment, 40_000);
      program.kill('SIGINT');
      assert.equal(await program.exits(40_000), 130, program.stderr());
      assert.equal(program.stderr(), '');
      assert.deepEqual(readdirSync(temporary), [], 'nothing is left in the temporary folder');
    }
  });
});
