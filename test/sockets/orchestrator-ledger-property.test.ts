import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { Code, type ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { as, createScriptedRunner, eventually, failure, nothing } from '../orchestrator/harness.ts';
import { type AccountsWorld, reasonOf, startAccounts } from '../orchestrator/open-accounts.ts';
import { within } from '../support/waiting.ts';

const PRICE = 10n;
const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31);

type Act =
  | { readonly does: 'grant'; readonly who: number; readonly amount: number; readonly key: number }
  /** `fails` says for each step how many of its attempts fail; the steps do not depend on each other. */
  | { readonly does: 'submit'; readonly who: number; readonly fails: readonly number[]; readonly key: number }
  | { readonly does: 'retry'; readonly which: number };

const who = fc.nat(1);
// Few keys, so that some come twice; 0 is none.
const key = fc.nat(3);
const arbitraryAct: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ does: fc.constant('grant' as const), who, amount: fc.integer({ min: 1, max: 150 }), key }),
  {
    arbitrary: fc.record({
      does: fc.constant('submit' as const),
      who,
      fails: fc.array(fc.nat(2), { minLength: 1, maxLength: 3 }),
      key,
    }),
    weight: 2,
  },
  { arbitrary: fc.record({ does: fc.constant('retry' as const), which: fc.nat(20) }), weight: 2 },
);

/** Rounds one after the other; what is in a round happens at once. */
const arbitraryHistory = fc.array(fc.array(arbitraryAct, { minLength: 1, maxLength: 8 }), {
  minLength: 2,
  maxLength: 4,
});

describe(`any history of credits (FC_SEED=${seed})`, () => {
  let world: AccountsWorld;
  let orchestrator: AccountsWorld['orchestrator'];
  let accounts: AccountsWorld['accounts'];
  const runner = createScriptedRunner();
  runner.work = ({ params, attempt }) => (attempt <= Number(params.fails) ? failure('OOM') : nothing);

  before(async () => {
    world = await startAccounts(runner);
    ({ orchestrator, accounts } = world);
  });
  after(async () => {
    await world?.close();
  });

  let runs = 0;

  async function play(history: readonly (readonly Act[])[]): Promise<void> {
    const { client } = orchestrator;
    const run = runs++;
    const principals = [`left-${run}`, `right-${run}`];
    const failed = async (principal: string) =>
      (await client.listWorkflows({ stateFilter: JobState.FAILED, pageSize: 100 }, as(principal))).workflows;

    async function perform(act: Act): Promise<void> {
      if (act.does === 'grant') {
        const { amount, key, who } = act;
        // The same key always grants the same, to the same principal.
        const named = key > 0 && `${run}-${who}-${key}`;
        await accounts.grant(principals[who]!, BigInt(named ? 100 : amount), named || '');
      } else if (act.does === 'submit') {
        const steps = act.fails.map((fails, index) => ({ id: `s${index}`, tool: 'af2', params: { fails } }));
        const spec = create(WorkflowSpecSchema, { name: 'any', steps });
        const idempotencyKey = act.key > 0 ? `key-${act.key}` : '';
        await client.acceptWorkflow({ spec, idempotencyKey }, as(principals[act.who]!));
      } else {
        const principal = principals[act.which % 2]!;
        const workflows = await failed(principal);
        const workflow = workflows[act.which % Math.max(workflows.length, 1)];
        if (workflow) await client.retryWorkflow({ workflowId: workflow.id }, as(principal));
      }
    }

    for (const round of history) {
      const outcomes = await within('a round', Promise.allSettled(round.map(perform)), 10_000);
      for (const outcome of outcomes) if (outcome.status === 'rejected') checkExpected(outcome.reason);
      // So that the next round has something to retry.
      await eventually('an end to all workflows', async () => {
        const [live] = await accounts.rows(`select from workflows where state in ('QUEUED', 'RUNNING')`);
        return live === undefined;
      });
    }
    for (const principal of principals) await checkAccount(principal);
  }

  /** The ledger sums up, and has for each workflow what it has cost: nothing when nothing of it has succeeded. */
  async function checkAccount(principal: string): Promise<void> {
    await accounts.checkLedger(principal);
    const { workflows } = await orchestrator.client.listWorkflows({ pageSize: 100 }, as(principal));
    const entries = await accounts.ledger(principal);
    const spent = entries.filter(({ reason }) => reason.includes(':wf:'));
    for (const { id, state, stepStatuses } of workflows) {
      const own = spent.filter(({ reason }) => reason.endsWith(id));
      const cost = -own.reduce((sum, { delta }) => sum + delta, 0n);
      const isFree = stepStatuses.every((status) => status.state === JobState.FAILED);
      assert.equal(cost, isFree ? 0n : PRICE * BigInt(stepStatuses.length), `${id} in state ${state}`);
    }
    const workflowIds = new Set(workflows.map(({ id }) => id));
    assert.ok(
      spent.every(({ reason }) => workflowIds.has(reason.split(':wf:')[1]!)),
      'no workflow, no posting',
    );
  }

  it('sums up to the balance, and is spent on what was accepted', async () => {
    await fc.assert(fc.asyncProperty(arbitraryHistory, play), { seed, numRuns: 12, endOnFailure: true });
  });
});

/** Too few credits, a key that is in use, or a workflow that somebody else retries at the same time. */
function checkExpected(error: ConnectError): void {
  const expected = [
    [Code.FailedPrecondition, 'INSUFFICIENT_CREDITS'],
    [Code.FailedPrecondition, undefined],
    [Code.Aborted, 'IDEMPOTENCY_KEY_IN_FLIGHT'],
  ];
  const isExpected = expected.some(([code, reason]) => error.code === code && reasonOf(error) === reason);
  if (!isExpected) throw error;
}
