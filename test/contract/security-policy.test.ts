import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { it } from 'node:test';

const ROOT = new URL('../../', import.meta.url);

it('SECURITY.md has each risk of the OWASP API Security Top 10 with tests that are there', () => {
  const rows = readFileSync(new URL('SECURITY.md', ROOT), 'utf8').match(/^\| API\d+ .*$/gm) ?? [];
  assert.deepEqual(
    rows.map((row) => /^\| (API\d+) /.exec(row)![1]),
    Array.from({ length: 10 }, (_, index) => `API${index + 1}`),
  );
  for (const row of rows) {
    const tests = row.match(/`test\/[^`]+`/g)?.map((text) => text.slice(1, -1)) ?? [];
    assert.ok(tests.length > 0, `no test: ${row}`);
    for (const test of tests) assert.ok(existsSync(new URL(test, ROOT)), `${test} is not there`);
  }
});
