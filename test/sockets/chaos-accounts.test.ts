import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { runAccounts } from '../chaos/accounts/run.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

// `npm run chaos:accounts` runs the full size. Of small plans, those of these seeds strike hard: commits are under way.
describe('accounts under faults', { concurrency: true }, () => {
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;
  const databaseUrls: string[] = [];

  before(async () => {
    [postgres, objectStore] = await Promise.all([startTestPostgres(), startTestObjectStore()]);
    while (databaseUrls.length < 2) databaseUrls.push(await postgres.createMigratedDatabase());
  });
  after(async () => {
    await objectStore?.close();
    await postgres?.close();
  });

  async function failuresOf(seed: number, promise: 'exact' | 'base', operations: number): Promise<readonly string[]> {
    const size = { seed, operations, seconds: operations / 40, full: false };
    const { failures } = await runAccounts({ ...size, promise, databaseUrl: databaseUrls.pop()!, objectStore });
    return failures;
  }

  it('are charged for exactly what was accepted', async () => {
    assert.deepEqual(await failuresOf(302, 'exact', 120), []);
  });

  it('are charged for at least that by an orchestrator without AcceptWorkflow', async () => {
    assert.deepEqual(await failuresOf(715, 'base', 80), []);
  });
});
