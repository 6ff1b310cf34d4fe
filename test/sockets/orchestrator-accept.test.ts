import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  type AcceptWorkflowRequestSchema,
  type AcceptWorkflowResponse,
  type Workflow,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { as, collect, createScriptedRunner, failure, refusal, specOf } from '../orchestrator/harness.ts';
import { type AccountsWorld, reasonOf, startAccounts } from '../orchestrator/open-accounts.ts';

type Request = Omit<MessageInitShape<typeof AcceptWorkflowRequestSchema>, '$typeName' | '$unknown'>;

describe('AcceptWorkflow', () => {
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
    runner.work = () => ({
      output: { artifacts: [], sequences: [{ fasta: 'MK', globalScore: 1, seqRecovery: 1, sampleIndex: 0 }] },
    });
  });

  const spec = specOf({ a: [] });
  /** As `principal`; an empty one is the static token. */
  const accept = (principal: string, request: Request): Promise<AcceptWorkflowResponse> =>
    orchestrator.client.acceptWorkflow({ spec, ...request }, principal ? as(principal) : {});
  const bytes = (workflow: Workflow | undefined) => Buffer.from(toBinary(WorkflowSchema, workflow!)).toString('hex');
  const follow = (workflowId: string) =>
    collect(orchestrator.client.streamWorkflowEvents({ workflowId, replay: true }));

  it('accepts, counts and debits what SubmitWorkflow would have', async () => {
    await accounts.grant('ann', 100n);
    const keyHash = await accounts.newKey('ann', '5');
    const { workflow, replayed, quota } = await accept('ann', { spec: specOf({ a: [], b: ['a'] }), keyHash });
    assert.deepEqual([replayed, quota?.used, await accounts.usedOf(keyHash)], [false, 1n, 1]);
    assert.deepEqual(
      workflow?.stepStatuses.map(({ state }) => state),
      [JobState.QUEUED, JobState.QUEUED],
    );
    const events = await follow(workflow!.id);
    assert.deepEqual(
      events.map(({ eventId }) => Number(eventId)),
      events.map((_, index) => index + 1),
    );
    assert.equal(events[0]?.event.case, 'workflowUpdate');
    assert.deepEqual(events[0]?.event.value, workflow, 'the first event is the workflow as it was accepted');
    const done = await orchestrator.client.getWorkflow({ workflowId: workflow!.id }, as('ann'));
    assert.equal(done.state, JobState.SUCCEEDED);
    assert.equal((await accounts.ledger('ann')).at(-1)?.reason, `debit:wf:${workflow!.id}`);
    assert.equal(await accounts.balance('ann'), 80n);
  });

  it('asks for neither a key nor credits of the static token', async () => {
    const first = await accept('', {});
    const second = await accept('', {});
    assert.notEqual(first.workflow?.id, second.workflow?.id);
    assert.deepEqual([first.quota, first.replayed], [undefined, false]);
  });

  it('does not tell the quota of a key without a limit, but counts it', async () => {
    await accounts.grant('bob', 100n);
    const keyHash = await accounts.newKey('bob');
    assert.equal((await accept('bob', { keyHash })).quota, undefined);
    assert.equal(await accounts.usedOf(keyHash), 1);
  });

  it('replays the first answer byte for byte, whatever has become of it, at no cost', async () => {
    await accounts.grant('cleo', 30n);
    const keyHash = await accounts.newKey('cleo', '1');
    const rich = specOf({ a: [], b: ['a'], c: [] }, { labels: { z: '1', a: '2', m: 'ü' } });
    rich.steps[0]!.params = { nested: { list: [1, 'two', null, true] }, tiny: 1e-7 };
    const request = { spec: rich, keyHash, idempotencyKey: 'k1', bodyDigest: 'digest' };
    runner.work = ({ stepId }) => (stepId === 'b' ? failure('OOM') : { output: { artifacts: [], sequences: [] } });
    const first = await accept('cleo', request);
    const second = await accept('cleo', request);
    await follow(first.workflow!.id);
    const before = await accounts.footprint();
    assert.deepEqual([before.used, await accounts.balance('cleo')], [await sumOfUses(), 0n]);
    const third = await accept('cleo', request);
    await orchestrator.client.retryWorkflow({ workflowId: first.workflow!.id }, as('cleo'));
    await orchestrator.client.cancelWorkflow({ workflowId: first.workflow!.id }, as('cleo'));
    const undigested = await accept('cleo', { ...request, bodyDigest: '' });
    for (const replay of [second, third, undigested]) {
      assert.equal(replay.replayed, true);
      assert.equal(bytes(replay.workflow), bytes(first.workflow));
      assert.deepEqual([replay.quota?.limit, replay.quota?.used], [1n, 1n]);
    }
    assert.deepEqual(await accounts.footprint(), before);
    const now = await orchestrator.client.getWorkflow({ workflowId: first.workflow!.id }, as('cleo'));
    assert.notEqual(bytes(now), bytes(first.workflow), 'it has come further since');
  });

  async function sumOfUses(): Promise<number> {
    const [row] = await accounts.rows<{ used: string }>('select sum(used) as used from api_keys');
    return Number(row!.used);
  }

  it('replays for a key that was revoked or is of another, without telling its quota', async () => {
    await accounts.grant('dirk', 10n);
    const keyHash = await accounts.newKey('dirk', '1');
    const foreign = await accounts.newKey('else', '1');
    const first = await accept('dirk', { keyHash, idempotencyKey: 'k' });
    await accounts.command('revoke', await accounts.idOf(keyHash));
    const second = await accept('dirk', { keyHash, idempotencyKey: 'k' });
    const third = await accept('dirk', { keyHash: foreign, idempotencyKey: 'k' });
    assert.deepEqual([second.replayed, second.workflow?.id, second.quota?.used], [true, first.workflow?.id, 1n]);
    assert.deepEqual([third.replayed, third.workflow?.id, third.quota], [true, first.workflow?.id, undefined]);
  });

  it('compares the digest of the body, when both have one', async () => {
    const first = await accept('', { idempotencyKey: 'digests', bodyDigest: 'one' });
    const error = await refusal(accept('', { idempotencyKey: 'digests', bodyDigest: 'two' }));
    assert.deepEqual([error.code, reasonOf(error)], [Code.AlreadyExists, 'IDEMPOTENCY_KEY_REUSED']);
    const base = await orchestrator.client.submitWorkflow({ spec, idempotencyKey: 'digests' });
    assert.equal(bytes(base), bytes(first.workflow));

    const undigested = await orchestrator.client.submitWorkflow({ spec, idempotencyKey: 'none' });
    const replay = await accept('', { idempotencyKey: 'none', bodyDigest: 'any' });
    assert.deepEqual([replay.replayed, bytes(replay.workflow)], [true, bytes(undigested)]);
  });

  it('keeps the idempotency keys of each owner, and of the static token, apart', async () => {
    await Promise.all([accounts.grant('emil', 10n), accounts.grant('fay', 10n)]);
    const owners = ['', 'emil', 'fay'];
    const first = await Promise.all(owners.map((owner) => accept(owner, { idempotencyKey: 'same' })));
    assert.ok(first.every(({ replayed }) => !replayed));
    const again = await Promise.all(owners.map((owner) => accept(owner, { idempotencyKey: 'same' })));
    assert.ok(again.every(({ replayed }) => replayed));
    const ids = first.map(({ workflow }) => workflow?.id);
    assert.equal(new Set(ids).size, 3);
    assert.deepEqual(
      again.map(({ workflow }) => workflow?.id),
      ids,
    );
  });
});
