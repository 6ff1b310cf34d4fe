import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { durationMs, timestampDate, timestampMs } from '@bufbuild/protobuf/wkt';
import { tokenChecksum } from '../../src/shared/checksummed-token.ts';
import type { StartupError } from '../../src/shared/startup-error.ts';
import { createScriptedRunner, startTestOrchestrator } from '../orchestrator/harness.ts';
import { type Accounts, hashOf, openAccounts } from '../orchestrator/open-accounts.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { within } from '../support/waiting.ts';

describe('API keys', () => {
  let postgres: TestPostgres;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  let accounts: Accounts;

  before(async () => {
    postgres = await startTestPostgres();
    const databaseUrl = await postgres.createMigratedDatabase();
    orchestrator = await startTestOrchestrator(databaseUrl, createScriptedRunner());
    accounts = await openAccounts(databaseUrl, orchestrator.client);
  });
  after(async () => {
    await accounts?.close();
    await orchestrator?.close();
    await postgres?.close();
  });

  const authenticate = (keyHash: string) => orchestrator.client.authenticateApiKey({ keyHash });
  const consume = (keyHash: string) => orchestrator.client.consumeQuota({ keyHash });
  /** The row of `apikey list` for a key, by the headings. */
  async function listed(keyHash: string): Promise<Record<string, string>> {
    const [headings, ...lines] = (await accounts.command('list')).map((line) => line.split('\t'));
    const id = await accounts.idOf(keyHash);
    const line = lines.find(([first]) => first === id)!;
    return Object.fromEntries(headings!.map((heading, index) => [heading, line[index]!]));
  }

  it('are made and listed by command, and only their hash is kept', async () => {
    const printed = await accounts.command('create', 'carol', '5', '60');
    const rawKey = printed[0]!;
    assert.equal(printed.length, 1);
    assert.equal(tokenChecksum(rawKey, 'ffk'), 'valid');
    const keyHash = hashOf(rawKey);
    const { id, created, ...rest } = await listed(keyHash);
    assert.match(id!, /^[0-9a-f]{12}$/);
    assert.ok(Math.abs(Date.parse(created!) - Date.now()) < 60_000);
    assert.deepEqual(rest, {
      principal: 'carol',
      access: 'read-write',
      limit: '5',
      window_s: '60',
      used: '0',
      last_used: '-',
      expires: '-',
      revoked: '-',
    });
    const everything = JSON.stringify(await accounts.rows('select to_jsonb(api_keys) from api_keys'));
    assert.ok(!everything.includes(rawKey) && everything.includes(keyHash));
    const list = (await accounts.command('list')).join();
    assert.ok(!list.includes(rawKey) && !list.includes(keyHash));
  });

  it('are told with what a gateway needs to know, and without being counted', async () => {
    const keyHash = await accounts.newKey('dora', '5', '60', '--expires', '12h', '--read-only');
    const { $typeName: _, expiresAt, quota, ...rest } = await authenticate(keyHash);
    const keyId = await accounts.idOf(keyHash);
    assert.deepEqual(rest, { allowed: true, principal: 'dora', denyReason: '', keyId, readOnly: true });
    const expiresInMs = timestampMs(expiresAt!) - Date.now();
    assert.ok(expiresInMs > 43_100_000 && expiresInMs <= 43_200_000, `expires in ${expiresInMs} ms`);
    assert.deepEqual(
      [quota?.limit, quota?.used, quota?.windowSeconds, quota?.resetsIn],
      [5n, 0n, 60n, undefined],
      'no window is open',
    );
    const { access, expires, last_used: lastUsed } = await listed(keyHash);
    assert.deepEqual([access, Date.parse(expires!)], ['read-only', timestampMs(expiresAt!)]);
    assert.ok(Math.abs(Date.parse(lastUsed!) - Date.now()) < 60_000);

    const plain = await authenticate(await accounts.newKey('dora'));
    assert.deepEqual([plain.expiresAt, plain.readOnly, plain.quota], [undefined, false, undefined]);
  });

  it('that nobody has made are unknown', async () => {
    for (const keyHash of ['', 'zz', hashOf('nobody')]) {
      const authenticated = await authenticate(keyHash);
      assert.deepEqual([authenticated.allowed, authenticated.denyReason], [false, 'unknown']);
      const quota = await consume(keyHash);
      assert.deepEqual([quota.allowed, quota.denyReason], [false, 'unknown']);
    }
  });

  it('end when they expire, to the moment, and when they are revoked, which wins', async () => {
    const keyHash = await accounts.newKey('eve', '3', '60', '--expires', '30m');
    const answers = async () => {
      const { allowed, denyReason, keyId } = await authenticate(keyHash);
      assert.equal(keyId, await accounts.idOf(keyHash));
      const counted = await consume(keyHash);
      return [allowed, denyReason, counted.allowed, counted.denyReason];
    };
    assert.deepEqual(await answers(), [true, '', true, '']);
    await accounts.setKey(keyHash, `expires_at = clock_timestamp() + interval '1 minute'`);
    assert.deepEqual(await answers(), [true, '', true, '']);
    await accounts.setKey(keyHash, 'expires_at = clock_timestamp()');
    assert.deepEqual(await answers(), [false, 'expired', false, 'expired']);
    const id = await accounts.idOf(keyHash);
    assert.deepEqual(await accounts.command('revoke', id), [`revoked ${id}`]);
    assert.deepEqual(await answers(), [false, 'revoked', false, 'revoked']);
    assert.equal(await accounts.usedOf(keyHash), 2);
    const { revoked } = await listed(keyHash);
    await accounts.command('revoke', id);
    assert.equal((await listed(keyHash)).revoked, revoked, 'revoking again keeps the first time');
  });

  it('that are read-only are not counted', async () => {
    const keyHash = await accounts.newKey('fay', '3', '--read-only');
    const { allowed, denyReason, used } = await consume(keyHash);
    assert.deepEqual([allowed, denyReason, used], [false, 'read-only', 0n]);
    assert.equal(await accounts.usedOf(keyHash), 0);
  });

  it('overlap while they are rotated, each with its own quota', async () => {
    const [old, fresh] = [await accounts.newKey('gwen', '2'), await accounts.newKey('gwen', '2')];
    await consume(old);
    assert.deepEqual([(await consume(fresh)).used, (await consume(old)).used], [1n, 2n]);
    await accounts.command('revoke', await accounts.idOf(old));
    assert.deepEqual([(await authenticate(old)).allowed, (await authenticate(fresh)).allowed], [false, true]);
    assert.equal((await authenticate(fresh)).principal, 'gwen');
  });

  it('are answered for while somebody counts with them', async () => {
    const keyHash = await accounts.newKey('hans', '2');
    const release = await accounts.hold('select from api_keys where key_hash = $1 for update', keyHash);
    try {
      assert.equal((await within('an answer', authenticate(keyHash), 3_000)).allowed, true);
    } finally {
      await release();
    }
  });

  it('are refused when the command line makes no sense', async () => {
    const cases: [string[], number, RegExp][] = [
      [[], 64, /^usage: /],
      [['create'], 64, /^usage: /],
      [['create', 'has space'], 64, /principal/],
      [['create', 'x', '-1'], 64, /-1.*usage: /],
      [['create', 'x', '1', '0'], 64, /window_s is "0"/],
      [['create', 'x', '1', '2', '3'], 64, /^usage: /],
      [['create', 'x', '--expires'], 64, /--expires.*usage: /],
      [['create', 'x', '--expires', 'soon'], 64, /--expires is "soon", but must be a time/],
      [['create', 'x', '--expires', '2001-01-01'], 64, /in the future/],
      [['create', 'x', '--readonly'], 64, /--readonly.*usage: /],
      [['list', 'all'], 64, /^usage: /],
      [['list', '--read-only'], 64, /^usage: /],
      [['revoke'], 64, /^usage: /],
      [['drop'], 64, /^usage: /],
      [['revoke', 'nokey'], 1, /there is no API key nokey/],
    ];
    const before = await accounts.rows('select id from api_keys');
    for (const [args, exitCode, message] of cases) {
      const error: StartupError = await accounts.command(...args).then(
        () => assert.fail(`did not refuse: ${args.join(' ')}`),
        (refusal: StartupError) => refusal,
      );
      assert.equal(error.exitCode, exitCode, args.join(' '));
      assert.match(error.message, message);
    }
    assert.deepEqual(await accounts.rows('select id from api_keys'), before);
  });

  describe('with a quota', () => {
    it('let exactly as many concurrent submissions through as the limit says', async () => {
      const keyHash = await accounts.newKey('dave', '7', '3600');
      const answers = await Promise.all(Array.from({ length: 20 }, () => consume(keyHash)));
      const allowed = answers.filter((answer) => answer.allowed);
      assert.deepEqual(allowed.map(({ used }) => Number(used)).sort(), [1, 2, 3, 4, 5, 6, 7]);
      const refused = answers.find((answer) => !answer.allowed);
      assert.deepEqual(
        [refused?.limit, refused?.used, refused?.principal, refused?.denyReason],
        [7n, 7n, 'dave', 'quota exceeded'],
      );
      const resetsInMs = timestampDate(refused!.resetsAt!).getTime() - Date.now();
      assert.ok(resetsInMs > 3_590_000 && resetsInMs <= 3_600_000, `resets in ${resetsInMs} ms`);
      const { quota } = await authenticate(keyHash);
      assert.ok(Math.abs(durationMs(quota!.resetsIn!) - resetsInMs) < 5_000, 'the same, by whatever clock');
      assert.equal((await listed(keyHash)).used, '7');
    });

    it('begin a window with the first submission, and anew with the first after it has ended', async () => {
      const keyHash = await accounts.newKey('erin', '1', '3600');
      const use = async () => {
        const { allowed, used } = await consume(keyHash);
        return [allowed, used];
      };
      const pass = (seconds: number) =>
        accounts.setKey(keyHash, `window_started_at = window_started_at - ${seconds} * interval '1 second'`);
      const open = async () => {
        const { quota } = await authenticate(keyHash);
        return [quota?.used, quota?.resetsIn !== undefined];
      };
      assert.deepEqual(await open(), [0n, false]);
      assert.deepEqual(await use(), [true, 1n]);
      await pass(3_000);
      assert.deepEqual(await open(), [1n, true]);
      assert.deepEqual(await use(), [false, 1n]);
      await pass(600);
      assert.deepEqual(await open(), [0n, false], 'the window has ended');
      assert.equal((await listed(keyHash)).used, '0');
      assert.deepEqual(await use(), [true, 1n]);
      assert.deepEqual(await use(), [false, 1n]);
    });

    it('of 0 never end', async () => {
      const keyHash = await accounts.newKey('frank');
      for (let count = 0; count < 3; count++) {
        const { allowed, limit, resetsAt } = await consume(keyHash);
        assert.deepEqual([allowed, limit, resetsAt], [true, 0n, undefined]);
      }
      assert.equal((await listed(keyHash)).used, '3');
    });
  });
});
