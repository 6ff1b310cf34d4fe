import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fuzz } from '../chaos/http2/fuzz.ts';

const LIMIT_MS = 4_000;

it('direct survives damaged answers, and never mixes them up', async () => {
  const count = await fuzz({ runs: 2_000, limitMs: LIMIT_MS });
  assert.ok(count > 50, `only ${count} conversations`);
});
