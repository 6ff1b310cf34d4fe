import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { formatTable } from '../../src/client/table.ts';
import { artifact, inTurn, json, lost, refusal, runIn, status, workflow } from './scene.ts';

describe('the command line client, where things are large, lost or empty', () => {
  it('tells the idempotency key when the first attempt may still be under way', async () => {
    const inFlight = refusal(409, 'IDEMPOTENCY_KEY_IN_FLIGHT', { retryable: true, retryAfter: '20' });
    const { exitCode, stderr } = await runIn(['submit', '-'], {
      stdin: '{}',
      answer: inTurn(lost('ECONNRESET'), inFlight, inFlight, inFlight, inFlight),
    });
    assert.equal(exitCode, 4);
    assert.match(stderr, /without submitting twice: --idempotency-key [0-9a-f-]{36}\n/);
  });

  it('makes a table of more lines than a call takes arguments', () => {
    const rows = Array.from({ length: 200_000 }, (_, index) => [String(index), 'x']);
    assert.equal(formatTable(['A', 'B'], rows).length, 200_001);
  });

  it('leaves no empty file behind when nothing has come', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
    try {
      const outputs = [artifact({ uri: 'r2://b/artifacts/x.pdb', size_bytes: 5, sha256: 'a'.repeat(64) })];
      const { exitCode } = await runIn(['download', 'wf-1', '--output', folder], {
        answer: inTurn(
          json(workflow('SUCCEEDED', { step_statuses: [status('SUCCEEDED', 1, { outputs })] })),
          refusal(503, 'NOT_CONFIGURED'),
        ),
      });
      assert.equal(exitCode, 69);
      assert.deepEqual(readdirSync(folder), []);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
