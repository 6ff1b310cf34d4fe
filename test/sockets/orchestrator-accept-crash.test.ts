import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { as, eventually, refusal, specOf } from '../orchestrator/harness.ts';
import { type Accounts, openAccounts, reasonOf } from '../orchestrator/open-accounts.ts';
import { createPrograms, settingsFor } from '../orchestrator/program.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

describe('AcceptWorkflow of orchestrators as processes', () => {
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;
  const programs = createPrograms();
  const opened: Accounts[] = [];

  before(async () => {
    [postgres, objectStore] = await Promise.all([startTestPostgres(), startTestObjectStore()]);
  });
  after(async () => {
    await Promise.all(opened.map((accounts) => accounts.close()));
    await programs.close();
    await objectStore?.close();
    await postgres?.close();
  });

  async function newSettings() {
    const databaseUrl = await postgres.createMigratedDatabase();
    return { ...settingsFor(databaseUrl, objectStore), BILLING_ENABLED: 'true' };
  }
  async function accountsOf({ DATABASE_URL }: { DATABASE_URL: string }, client: Parameters<typeof openAccounts>[1]) {
    const accounts = await openAccounts(DATABASE_URL, client);
    opened.push(accounts);
    return accounts;
  }

  it('costs nothing when the process is killed after it has counted', async () => {
    const settings = await newSettings();
    const first = await programs.start(settings);
    const accounts = await accountsOf(settings, first.client);
    await accounts.grant('kay', 10n);
    const keyHash = await accounts.newKey('kay', '5');
    const request = { spec: specOf({ a: [] }), keyHash, idempotencyKey: 'k', bodyDigest: 'one' };
    const before = await accounts.footprint();
    const release = await accounts.hold(`select from balances where principal = 'kay' for update`);
    const lost = refusal(first.client.acceptWorkflow(request, as('kay')));
    const pid = await accounts.blocked();
    const busy = accounts.rows('select from api_keys where key_hash = $1 for update nowait', keyHash);
    await assert.rejects(busy, { code: '55P03' }, 'the submission is counted, but not committed');
    first.kill('SIGKILL');
    await first.exits();
    await lost;
    await release();
    await eventually('an end to the transaction', async () => {
      const [backend] = await accounts.rows('select from pg_stat_activity where pid = $1', pid);
      return backend === undefined;
    });
    assert.deepEqual(await accounts.footprint(), before);

    const second = await programs.start(settings);
    const { replayed, quota } = await second.client.acceptWorkflow(request, as('kay'));
    assert.deepEqual([replayed, quota?.used], [false, 1n]);
    const { balance } = await second.client.getBalance({ principal: 'kay' });
    assert.equal(balance, 0n);
  });

  it('is one answer for one idempotency key, whichever of two is asked', async () => {
    const settings = await newSettings();
    const replicas = await Promise.all([
      programs.start(settings),
      programs.start({ ...settings, EXECUTOR_ID: 'other' }),
    ]);
    const accounts = await accountsOf(settings, replicas[0].client);
    await accounts.grant('leo', 1_000n);
    const keyHash = await accounts.newKey('leo', '7');
    const accept = (index: number, idempotencyKey: string) =>
      replicas[index % 2]!.client.acceptWorkflow({ spec: specOf({ a: [] }), keyHash, idempotencyKey }, as('leo'));
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        eventually('no rival', async () => {
          try {
            return await accept(index, 'shared');
          } catch (error) {
            if (reasonOf(error as never) === 'IDEMPOTENCY_KEY_IN_FLIGHT') return undefined;
            throw error;
          }
        }),
      ),
    );
    assert.equal(new Set(answers.map(({ workflow }) => workflow?.id)).size, 1);
    assert.equal(answers.filter(({ replayed }) => !replayed).length, 1);
    assert.deepEqual([await accounts.usedOf(keyHash), await accounts.balance('leo')], [1, 990n]);

    const others = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => accept(index, '')));
    assert.equal(others.filter(({ status }) => status === 'fulfilled').length, 6, 'the rest of the quota');
    assert.deepEqual([await accounts.usedOf(keyHash), await accounts.balance('leo')], [7, 930n]);
    await accounts.checkLedger('leo');
  });
});
