import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, type ConnectError } from '@connectrpc/connect';
import { as, collect, createScriptedRunner, failure, nothing, refusal, specOf } from '../orchestrator/harness.ts';
import { type AccountsWorld, reasonOf, startAccounts } from '../orchestrator/open-accounts.ts';

const PRICE = 10n;

describe('credits', () => {
  let world: AccountsWorld;
  let orchestrator: AccountsWorld['orchestrator'];
  let accounts: AccountsWorld['accounts'];
  const runner = createScriptedRunner();

  before(async () => {
    world = await startAccounts(runner);
    ({ orchestrator, accounts } = world);
  });
  after(async () => {
    await world?.close();
  });
  beforeEach(() => {
    runner.work = () => nothing;
  });

  it('are granted once for each key, however many ask at once, and exactly', async () => {
    const big = 9_007_199_254_740_993n;
    const answers = await Promise.all(Array.from({ length: 8 }, () => accounts.grant('gina', big, 'topup-1')));
    assert.deepEqual(new Set(answers.map((answer) => answer.balance)), new Set([big]));
    assert.equal(answers.filter(({ replayed }) => !replayed).length, 1);
    const others = await Promise.all(Array.from({ length: 8 }, () => accounts.grant('gina', 1n)));
    assert.ok(others.every(({ replayed }) => !replayed));
    assert.equal(await accounts.balance('gina'), big + 8n);
    assert.equal((await accounts.ledger('gina')).length, 9);
    await accounts.checkLedger('gina');
  });

  it('are not granted on nonsense, nor by a principal', async () => {
    const { client } = orchestrator;
    const codes = [
      [accounts.grant('', 1n), Code.InvalidArgument],
      [accounts.grant('hugo', 0n), Code.InvalidArgument],
      [accounts.grant('hugo', -5n), Code.InvalidArgument],
      [client.grantCredits({ principal: 'hugo', amount: 1n }, as('hugo')), Code.PermissionDenied],
    ] as const;
    const refusals = await Promise.all(codes.map(([call]) => refusal(call)));
    assert.deepEqual(
      refusals.map(({ code }) => code),
      codes.map(([, code]) => code),
    );
    await accounts.grant('hugo', 5n, 'used');
    assert.equal((await refusal(accounts.grant('ida', 5n, 'used'))).code, Code.AlreadyExists);
    assert.equal((await refusal(accounts.grant('hugo', 2n ** 63n - 1n))).code, Code.InvalidArgument, 'beyond 64 bits');
    assert.equal(await accounts.balance('hugo'), 5n);
  });

  it('are not granted under a key that is too long to be stored', async () => {
    // Not compressible, or it would fit.
    const idempotencyKey = randomBytes(9_000).toString('hex');
    const error = await refusal(accounts.grant('hugo', 1n, idempotencyKey));
    assert.deepEqual([error.code, error.rawMessage], [Code.InvalidArgument, 'a value in the request cannot be stored']);
  });

  it('are shown to their owner alone, newest first and no more than asked for', async () => {
    const { client } = orchestrator;
    for (const key of ['1', '2', '3']) await accounts.grant('jan', BigInt(key), `jan-${key}`);
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
    assert.equal(await accounts.balance('nobody'), 0n);
    assert.deepEqual(await accounts.ledger('nobody'), []);
  });

  it('are debited with the submission, and too few refuse it without a trace', async () => {
    const { client } = orchestrator;
    await accounts.grant('lena', 25n);
    const { id } = await client.submitWorkflow({ spec: specOf({ a: [], b: [] }) }, as('lena'));
    assert.equal(await accounts.balance('lena'), 5n);
    const error = await refusal(client.submitWorkflow({ spec: specOf({ a: [] }) }, as('lena')));
    checkInsufficient(error);
    const { workflows } = await client.listWorkflows({}, as('lena'));
    assert.deepEqual(
      workflows.map((workflow) => workflow.id),
      [id],
    );
    assert.deepEqual((await accounts.ledger('lena')).at(-1)?.reason, `debit:wf:${id}`);
    await client.submitWorkflow({ spec: specOf({ a: [] }) });
    await accounts.checkLedger('lena');
  });

  it('are debited once for concurrent submissions with one idempotency key', async () => {
    const { client } = orchestrator;
    await accounts.grant('mona', 100n);
    const request = { spec: specOf({ a: [] }), idempotencyKey: 'again' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.submitWorkflow(request, as('mona'))));
    assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
    assert.equal(await accounts.balance('mona'), 90n);
    const other = await client.submitWorkflow(request);
    assert.notEqual(other.id, answers[0]?.id, 'another owner has keys of its own');
    assert.equal((await client.submitWorkflow(request)).id, other.id, 'so has the static token');
    await accounts.checkLedger('mona');
  });

  it('never fall below zero when many submit at once', async () => {
    const { client } = orchestrator;
    await accounts.grant('nora', 35n);
    const calls = Array.from({ length: 8 }, () => client.submitWorkflow({ spec: specOf({ a: [] }) }, as('nora')));
    const settled = await Promise.allSettled(calls);
    assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 3);
    for (const outcome of settled) if (outcome.status === 'rejected') checkInsufficient(outcome.reason);
    assert.equal(await accounts.balance('nora'), 5n);
    await accounts.checkLedger('nora');
  });

  it('come back once when nothing has succeeded, and are debited again by a retry', async () => {
    const { client } = orchestrator;
    runner.work = () => failure('OOM');
    await accounts.grant('olga', 2n * PRICE);
    const { id } = await client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) }, as('olga'));
    const end = () => collect(client.streamWorkflowEvents({ workflowId: id, replay: true }));
    await end();
    assert.equal(await accounts.balance('olga'), 20n);
    assert.deepEqual((await accounts.ledger('olga')).at(-1)?.reason, `refund:wf:${id}`);

    await client.retryWorkflow({ workflowId: id }, as('olga'));
    await end();
    assert.equal(await accounts.balance('olga'), 20n);
    assert.deepEqual(
      (await accounts.ledger('olga')).map(({ delta }) => Number(delta)),
      [20, -20, 20, -20, 20],
    );

    const { id: second } = await client.submitWorkflow({ spec: specOf({ a: [] }) }, as('olga'));
    await collect(client.streamWorkflowEvents({ workflowId: second, replay: true }));
    await client.submitWorkflow({ spec: specOf({ a: [], b: [] }) }, as('olga'));
    const poor = await refusal(client.retryWorkflow({ workflowId: second }, as('olga')));
    checkInsufficient(poor);
    await accounts.checkLedger('olga');
  });

  it('are debited once by concurrent retries', async () => {
    const { client } = orchestrator;
    runner.work = ({ attempt }) => (attempt === 1 ? failure('OOM') : nothing);
    await accounts.grant('pete', 5n * PRICE);
    const { id: workflowId } = await client.submitWorkflow({ spec: specOf({ a: [] }) }, as('pete'));
    await collect(client.streamWorkflowEvents({ workflowId, replay: true }));
    const retries = Array.from({ length: 6 }, () => client.retryWorkflow({ workflowId }, as('pete')));
    const settled = await Promise.allSettled(retries);
    assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(await accounts.balance('pete'), 4n * PRICE);
    await accounts.checkLedger('pete');
  });

  it('stay spent when a step has succeeded', async () => {
    const { client } = orchestrator;
    runner.work = ({ stepId, attempt }) => (stepId === 'b' && attempt < 3 ? failure('OOM') : nothing);
    await accounts.grant('pia', 20n);
    const { id } = await client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) }, as('pia'));
    await collect(client.streamWorkflowEvents({ workflowId: id, replay: true }));
    assert.equal(await accounts.balance('pia'), 0n);
    await client.retryWorkflow({ workflowId: id }, as('pia'));
    assert.equal(await accounts.balance('pia'), 0n, 'a retry of what was not refunded is free');
    await accounts.checkLedger('pia');
  });
});

function checkInsufficient(error: ConnectError): void {
  assert.deepEqual([error.code, reasonOf(error)], [Code.FailedPrecondition, 'INSUFFICIENT_CREDITS']);
}
