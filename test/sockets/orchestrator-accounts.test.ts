import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { runApikeyCommand } from '../../src/orchestrator/accounts/apikey-command.ts';
import { tokenChecksum } from '../../src/shared/checksummed-token.ts';
import type { StartupError } from '../../src/shared/startup-error.ts';
import {
  as,
  collect,
  createScriptedRunner,
  failure,
  nothing,
  refusal,
  specOf,
  startTestOrchestrator,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const PRICE = 10n;

describe('accounts', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createDatabase();
    orchestrator = await startTestOrchestrator(databaseUrl, runner, { BILLING_ENABLED: 'true' });
  });
  after(async () => {
    await orchestrator?.close();
    await postgres?.close();
  });
  beforeEach(() => {
    runner.work = () => nothing;
  });

  const hash = (rawKey: string) => createHash('sha256').update(rawKey).digest('hex');
  async function command(...args: string[]): Promise<string[]> {
    const lines: string[] = [];
    await runApikeyCommand(args, { databaseUrl, print: (line) => lines.push(line) });
    return lines;
  }
  async function exitCodeOf(...args: string[]): Promise<number> {
    return await command(...args).then(
      () => 0,
      (error: StartupError) => error.exitCode,
    );
  }
  async function newKey(...args: string[]): Promise<string> {
    const [rawKey] = await command('create', ...args);
    return hash(rawKey!);
  }
  const grant = (principal: string, amount: bigint, idempotencyKey = '') =>
    orchestrator.client.grantCredits({ principal, amount, reason: 'grant:admin', idempotencyKey });
  const balance = async (principal: string) => (await orchestrator.client.getBalance({ principal })).balance;
  const ledger = async (principal: string) =>
    (await orchestrator.client.listLedger({ principal, limit: 200 })).entries.reverse();
  async function checkSum(principal: string): Promise<void> {
    let sum = 0n;
    for (const { delta, balanceAfter } of await ledger(principal)) {
      sum += delta;
      assert.equal(balanceAfter, sum);
    }
    assert.equal(await balance(principal), sum);
  }

  describe('API keys', () => {
    it('are made, listed and revoked by command, and only their hash is kept', async () => {
      const [rawKey, ...rest] = await command('create', 'carol', '5', '60');
      assert.deepEqual(rest, []);
      assert.equal(tokenChecksum(rawKey!, 'ffk'), 'valid');
      const listed = await command('list');
      const line = listed.find((text) => text.includes('carol'))?.split('\t');
      assert.deepEqual(line?.slice(1, 4), ['carol', '5', '60']);
      assert.ok(!listed.join().includes(rawKey!) && !listed.join().includes(hash(rawKey!)));

      const { client } = orchestrator;
      const good = await client.authenticateApiKey({ keyHash: hash(rawKey!) });
      assert.deepEqual([good.allowed, good.principal, good.denyReason], [true, 'carol', '']);
      await command('revoke', line![0]!);
      const revoked = await client.authenticateApiKey({ keyHash: hash(rawKey!) });
      assert.deepEqual([revoked.allowed, revoked.denyReason], [false, 'revoked']);
      const quota = await client.consumeQuota({ keyHash: hash(rawKey!) });
      assert.deepEqual([quota.allowed, quota.denyReason], [false, 'revoked']);
    });

    it('that nobody has made are unknown', async () => {
      for (const keyHash of ['', 'zz', hash('nobody')]) {
        const authenticated = await orchestrator.client.authenticateApiKey({ keyHash });
        assert.deepEqual([authenticated.allowed, authenticated.denyReason], [false, 'unknown']);
        const quota = await orchestrator.client.consumeQuota({ keyHash });
        assert.deepEqual([quota.allowed, quota.denyReason], [false, 'unknown']);
      }
    });

    it('are refused when the command line makes no sense', async () => {
      const wrong = [
        [],
        ['create'],
        ['create', 'has space'],
        ['create', 'x', '-1'],
        ['create', 'x', '1', '0'],
        ['create', 'x', '1', '2', '3'],
        ['list', 'all'],
        ['revoke'],
        ['drop'],
      ];
      for (const args of wrong) assert.equal(await exitCodeOf(...args), 64, args.join(' '));
      assert.equal(await exitCodeOf('revoke', 'nokey'), 1);
    });
  });

  describe('quotas', () => {
    it('let exactly as many concurrent submissions through as the limit says', async () => {
      const keyHash = await newKey('dave', '7', '3600');
      const calls = Array.from({ length: 20 }, () => orchestrator.client.consumeQuota({ keyHash }));
      const answers = await Promise.all(calls);
      const allowed = answers.filter((answer) => answer.allowed);
      assert.deepEqual(allowed.map(({ used }) => Number(used)).sort(), [1, 2, 3, 4, 5, 6, 7]);
      const refused = answers.find((answer) => !answer.allowed);
      assert.deepEqual(
        [refused?.limit, refused?.used, refused?.principal, refused?.denyReason],
        [7n, 7n, 'dave', 'quota exceeded'],
      );
      const resetsInMs = timestampDate(refused!.resetsAt!).getTime() - Date.now();
      assert.ok(resetsInMs > 3_590_000 && resetsInMs <= 3_600_000, `resets in ${resetsInMs} ms`);
    });

    it('begin with the first submission, and anew with the first after a window has ended', async () => {
      const keyHash = await newKey('erin', '1', '3600');
      const database = new pg.Client({ connectionString: databaseUrl });
      await database.connect();
      try {
        const unused = await database.query('select window_started_at from api_keys where key_hash = $1', [keyHash]);
        assert.deepEqual(unused.rows, [{ window_started_at: null }]);
        const use = async () => {
          const { allowed, used } = await orchestrator.client.consumeQuota({ keyHash });
          return [allowed, used];
        };
        const pass = (seconds: number) =>
          database.query(
            `update api_keys set window_started_at = window_started_at - $2 * interval '1 second' where key_hash = $1`,
            [keyHash, seconds],
          );
        assert.deepEqual(await use(), [true, 1n]);
        await pass(3_000);
        assert.deepEqual(await use(), [false, 1n]);
        await pass(600);
        assert.deepEqual(await use(), [true, 1n]);
        assert.deepEqual(await use(), [false, 1n]);
      } finally {
        await database.end();
      }
    });

    it('with the limit 0 never end', async () => {
      const keyHash = await newKey('frank');
      for (let count = 0; count < 3; count++) {
        const { allowed, limit, resetsAt } = await orchestrator.client.consumeQuota({ keyHash });
        assert.deepEqual([allowed, limit, resetsAt], [true, 0n, undefined]);
      }
    });
  });

  describe('credits', () => {
    it('are granted once for each key, however many ask at once, and exactly', async () => {
      const big = 9_007_199_254_740_993n;
      const answers = await Promise.all(Array.from({ length: 8 }, () => grant('gina', big, 'topup-1')));
      assert.deepEqual(new Set(answers.map((answer) => answer.balance)), new Set([big]));
      await Promise.all(Array.from({ length: 8 }, () => grant('gina', 1n)));
      assert.equal(await balance('gina'), big + 8n);
      assert.equal((await ledger('gina')).length, 9);
      await checkSum('gina');
    });

    it('are not granted on nonsense, nor by a principal', async () => {
      const { client } = orchestrator;
      const codes = [
        [grant('', 1n), Code.InvalidArgument],
        [grant('hugo', 0n), Code.InvalidArgument],
        [grant('hugo', -5n), Code.InvalidArgument],
        [client.grantCredits({ principal: 'hugo', amount: 1n }, as('hugo')), Code.PermissionDenied],
      ] as const;
      const refusals = await Promise.all(codes.map(([call]) => refusal(call)));
      assert.deepEqual(
        refusals.map(({ code }) => code),
        codes.map(([, code]) => code),
      );
      await grant('hugo', 5n, 'used');
      assert.equal((await refusal(grant('ida', 5n, 'used'))).code, Code.AlreadyExists);
      assert.equal((await refusal(grant('hugo', 2n ** 63n - 1n))).code, Code.InvalidArgument, 'beyond 64 bits');
      assert.equal(await balance('hugo'), 5n);
    });

    it('are not granted under a key that is too long to be stored', async () => {
      // Not compressible, or it would fit.
      const idempotencyKey = randomBytes(9_000).toString('hex');
      const error = await refusal(grant('hugo', 1n, idempotencyKey));
      assert.deepEqual(
        [error.code, error.rawMessage],
        [Code.InvalidArgument, 'a value in the request cannot be stored'],
      );
    });

    it('are shown to their owner alone, newest first and no more than asked for', async () => {
      const { client } = orchestrator;
      for (const key of ['1', '2', '3']) await grant('jan', BigInt(key), `jan-${key}`);
      const { entries } = await client.listLedger({ principal: 'jan', limit: 2 }, as('jan'));
      assert.deepEqual(
        entries.map(({ delta, balanceAfter, reason }) => [delta, balanceAfter, reason]),
        [
          [3n, 6n, 'grant:admin'],
          [2n, 3n, 'grant:admin'],
        ],
      );
      assert.equal((await client.listLedger({ principal: 'jan', limit: -1 })).entries.length, 1);
      assert.equal((await client.listLedger({ principal: 'jan', limit: 999 })).entries.length, 3);
      assert.equal((await client.listLedger({ principal: 'jan' })).entries.length, 3);
      const foreign = [
        client.getBalance({ principal: 'jan' }, as('kim')),
        client.listLedger({ principal: 'jan' }, as('kim')),
      ];
      for (const error of await Promise.all(foreign.map(refusal))) assert.equal(error.code, Code.PermissionDenied);
      assert.equal(await balance('nobody'), 0n);
      assert.deepEqual(await ledger('nobody'), []);
    });

    it('are debited with the submission, and too few refuse it without a trace', async () => {
      const { client } = orchestrator;
      await grant('lena', 25n);
      const { id } = await client.submitWorkflow({ spec: specOf({ a: [], b: [] }) }, as('lena'));
      assert.equal(await balance('lena'), 5n);
      const error = await refusal(client.submitWorkflow({ spec: specOf({ a: [] }) }, as('lena')));
      checkInsufficient(error);
      const { workflows } = await client.listWorkflows({}, as('lena'));
      assert.deepEqual(
        workflows.map((workflow) => workflow.id),
        [id],
      );
      assert.deepEqual((await ledger('lena')).at(-1)?.reason, `debit:wf:${id}`);
      await client.submitWorkflow({ spec: specOf({ a: [] }) });
      await checkSum('lena');
    });

    it('are debited once for concurrent submissions with one idempotency key', async () => {
      const { client } = orchestrator;
      await grant('mona', 100n);
      const request = { spec: specOf({ a: [] }), idempotencyKey: 'again' };
      const answers = await Promise.all(Array.from({ length: 10 }, () => client.submitWorkflow(request, as('mona'))));
      assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
      assert.equal(await balance('mona'), 90n);
      const other = await client.submitWorkflow(request);
      assert.notEqual(other.id, answers[0]?.id, 'another owner has keys of its own');
      assert.equal((await client.submitWorkflow(request)).id, other.id, 'so has the static token');
      await checkSum('mona');
    });

    it('never fall below zero when many submit at once', async () => {
      const { client } = orchestrator;
      await grant('nora', 35n);
      const calls = Array.from({ length: 8 }, () => client.submitWorkflow({ spec: specOf({ a: [] }) }, as('nora')));
      const settled = await Promise.allSettled(calls);
      assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 3);
      for (const outcome of settled) if (outcome.status === 'rejected') checkInsufficient(outcome.reason);
      assert.equal(await balance('nora'), 5n);
      await checkSum('nora');
    });

    it('come back once when nothing has succeeded, and are debited again by a retry', async () => {
      const { client } = orchestrator;
      runner.work = () => failure('OOM');
      await grant('olga', 2n * PRICE);
      const { id } = await client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) }, as('olga'));
      const end = () => collect(client.streamWorkflowEvents({ workflowId: id, replay: true }));
      await end();
      assert.equal(await balance('olga'), 20n);
      assert.deepEqual((await ledger('olga')).at(-1)?.reason, `refund:wf:${id}`);

      await client.retryWorkflow({ workflowId: id }, as('olga'));
      await end();
      assert.equal(await balance('olga'), 20n);
      assert.deepEqual(
        (await ledger('olga')).map(({ delta }) => Number(delta)),
        [20, -20, 20, -20, 20],
      );

      const { id: second } = await client.submitWorkflow({ spec: specOf({ a: [] }) }, as('olga'));
      await collect(client.streamWorkflowEvents({ workflowId: second, replay: true }));
      await client.submitWorkflow({ spec: specOf({ a: [], b: [] }) }, as('olga'));
      const poor = await refusal(client.retryWorkflow({ workflowId: second }, as('olga')));
      checkInsufficient(poor);
      await checkSum('olga');
    });

    it('stay spent when a step has succeeded', async () => {
      const { client } = orchestrator;
      runner.work = ({ stepId, attempt }) => (stepId === 'b' && attempt < 3 ? failure('OOM') : nothing);
      await grant('pia', 20n);
      const { id } = await client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) }, as('pia'));
      await collect(client.streamWorkflowEvents({ workflowId: id, replay: true }));
      assert.equal(await balance('pia'), 0n);
      await client.retryWorkflow({ workflowId: id }, as('pia'));
      assert.equal(await balance('pia'), 0n, 'a retry of what was not refunded is free');
      await checkSum('pia');
    });
  });
});

function checkInsufficient(error: ConnectError): void {
  assert.equal(error.code, Code.FailedPrecondition);
  assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, 'INSUFFICIENT_CREDITS');
}
