import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import {
  type AcceptWorkflowRequestSchema,
  type AcceptWorkflowResponse,
  type Workflow,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { as, eventually, refusal, specOf } from '../orchestrator/harness.ts';
import { type AccountsWorld, reasonOf, startAccounts } from '../orchestrator/open-accounts.ts';
import { within } from '../support/waiting.ts';

type Request = Omit<MessageInitShape<typeof AcceptWorkflowRequestSchema>, '$typeName' | '$unknown'>;

describe('AcceptWorkflow, many at once', () => {
  let world: AccountsWorld;
  let orchestrator: AccountsWorld['orchestrator'];
  let accounts: AccountsWorld['accounts'];

  before(async () => {
    world = await startAccounts();
    ({ orchestrator, accounts } = world);
  });
  after(async () => {
    await world?.close();
  });

  const spec = specOf({ a: [] });
  /** As `principal`; an empty one is the static token. */
  const accept = (principal: string, request: Request): Promise<AcceptWorkflowResponse> =>
    orchestrator.client.acceptWorkflow({ spec, ...request }, principal ? as(principal) : {});
  const bytes = (workflow: Workflow | undefined) => Buffer.from(toBinary(WorkflowSchema, workflow!)).toString('hex');

  it('says at once that the first one is in flight, and SubmitWorkflow waits for it', async () => {
    await accounts.grant('gus', 10n);
    const keyHash = await accounts.newKey('gus', '5');
    const request = { keyHash, idempotencyKey: 'slow', bodyDigest: 'one' };
    const release = await accounts.hold(`select from balances where principal = 'gus' for update`);
    const first = accept('gus', request);
    await accounts.blocked();
    for (const rival of [request, { ...request, bodyDigest: 'two' }]) {
      const error = await within('a refusal', refusal(accept('gus', rival)));
      assert.deepEqual([error.code, reasonOf(error)], [Code.Aborted, 'IDEMPOTENCY_KEY_IN_FLIGHT']);
    }
    const base = orchestrator.client.submitWorkflow({ spec, idempotencyKey: 'slow' }, as('gus'));
    await eventually('SubmitWorkflow waits', async () => {
      const [waiting] = await accounts.rows(`select from pg_locks where locktype = 'advisory' and not granted`);
      return waiting !== undefined;
    });
    await release();
    const { workflow, replayed } = await within('the first answer', first);
    assert.equal(replayed, false);
    assert.equal(bytes(await within('the answer to SubmitWorkflow', base)), bytes(workflow));
    const later = await accept('gus', request);
    assert.deepEqual([later.replayed, bytes(later.workflow)], [true, bytes(workflow)]);
    assert.deepEqual([await accounts.usedOf(keyHash), await accounts.balance('gus')], [1, 0n]);
  });

  it('takes fifty submissions with one idempotency key for one', async () => {
    await accounts.grant('hal', 1_000n);
    const keyHash = await accounts.newKey('hal', '100');
    const request = { keyHash, idempotencyKey: 'fifty', bodyDigest: 'one' };
    const submit = async (index: number): Promise<Workflow | undefined> => {
      if (index % 5 === 0)
        return await orchestrator.client.submitWorkflow({ spec, idempotencyKey: 'fifty' }, as('hal'));
      return await eventually('no rival', async () => {
        try {
          return (await accept('hal', request)).workflow;
        } catch (error) {
          if (reasonOf(error as never) === 'IDEMPOTENCY_KEY_IN_FLIGHT') return undefined;
          throw error;
        }
      });
    };
    const workflows = await Promise.all(Array.from({ length: 50 }, (_, index) => submit(index)));
    assert.equal(new Set(workflows.map(bytes)).size, 1);
    const { workflows: all } = await orchestrator.client.listWorkflows({}, as('hal'));
    assert.equal(all.length, 1);
    assert.equal(await accounts.balance('hal'), 990n);
    assert.ok((await accounts.usedOf(keyHash)) <= 1, 'SubmitWorkflow counts no quota');
    await accounts.checkLedger('hal');
  });

  it('accepts exactly as many concurrent submissions as the quota allows', async () => {
    await accounts.grant('ida', 10_000n);
    const keyHash = await accounts.newKey('ida', '8');
    const settled = await Promise.allSettled(Array.from({ length: 24 }, () => accept('ida', { keyHash })));
    const uses = settled.flatMap((one) => (one.status === 'fulfilled' ? [Number(one.value.quota?.used)] : []));
    assert.deepEqual(
      uses.sort((one, other) => one - other),
      [1, 2, 3, 4, 5, 6, 7, 8],
    );
    for (const one of settled) if (one.status === 'rejected') assert.equal(reasonOf(one.reason), 'QUOTA_EXCEEDED');
    assert.equal(await accounts.usedOf(keyHash), 8);
    assert.equal(await accounts.balance('ida'), 9_920n);
    const { workflows } = await orchestrator.client.listWorkflows({ pageSize: 100 }, as('ida'));
    assert.equal(workflows.length, 8);
  });

  it('accepts exactly as many concurrent submissions as there are credits for, and counts only those', async () => {
    await accounts.grant('jo', 55n);
    const keyHash = await accounts.newKey('jo', '20');
    const settled = await Promise.allSettled(Array.from({ length: 15 }, () => accept('jo', { keyHash })));
    assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 5);
    for (const one of settled)
      if (one.status === 'rejected') assert.equal(reasonOf(one.reason), 'INSUFFICIENT_CREDITS');
    assert.deepEqual([await accounts.usedOf(keyHash), await accounts.balance('jo')], [5, 5n]);
    await accounts.checkLedger('jo');
  });

  it('gives up a submission that waits for a lock, so that the others are not kept waiting', async () => {
    await accounts.grant('kim', 10n);
    const keyHash = await accounts.newKey('kim', '50');
    const release = await accounts.hold(`select from api_keys where principal = 'kim' for update`);
    // More than there are connections.
    const stuck = Array.from({ length: 12 }, () => refusal(accept('kim', { keyHash })));
    await accounts.blocked();
    const read = orchestrator.client.listWorkflows({}, as('lea'));
    assert.deepEqual((await within('a read of somebody else', read, 10_000)).workflows, []);
    for (const { code } of await within('the refusals', Promise.all(stuck), 15_000))
      assert.equal(code, Code.Unavailable);
    await release();
    assert.equal((await accept('kim', { keyHash })).quota?.used, 1n);
  });

  for (const table of ['api_keys', 'balances']) {
    it(`costs nothing when its connection is lost while it waits for ${table}`, async () => {
      const owner = `lost-${table}`;
      await accounts.grant(owner, 10n);
      const keyHash = await accounts.newKey(owner, '5');
      const request = { keyHash, idempotencyKey: 'k', bodyDigest: 'one' };
      const before = await accounts.footprint();
      const release = await accounts.hold(`select from ${table} where principal = $1 for update`, owner);
      const refused = refusal(accept(owner, request));
      await accounts.rows('select pg_terminate_backend($1)', await accounts.blocked());
      assert.equal((await within('a refusal', refused)).code, Code.Unavailable);
      await release();
      assert.deepEqual(await accounts.footprint(), before);
      const { replayed, quota } = await accept(owner, request);
      assert.deepEqual([replayed, quota?.used, await accounts.balance(owner)], [false, 1n, 0n]);
    });
  }
});
