import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Body } from './body.ts';
import { checkCharges } from './check-charges.ts';
import { checkLimits } from './check-limits.ts';
import { checkOrders } from './check-orders.ts';
import type { Evidence } from './evidence.ts';
import { FAULT_KINDS } from './faults.ts';
import type { Answer, Attempt } from './history.ts';
import { planAccounts } from './plan.ts';
import type { StoredEntry, StoredWorkflow } from './snapshot.ts';

const BODY: Body = { name: 'a', steps: 1, fails: 'not', flaw: undefined };
const OTHER: Body = { ...BODY, name: 'b' };
const FLAWED: Body = { ...BODY, name: 'cycle', flaw: 'cycle' };

const told = (used: number, limit = 2) => ({ limit, used, seconds: 60 });

function answer(status: number, rest: Partial<Answer> = {}): Answer {
  const nothing = { code: undefined, replayed: false, workflowId: undefined, text: '', rateLimit: undefined };
  return { ...nothing, retryAfter: undefined, status, ...rest };
}

const created = (used: number, rest: Partial<Answer> = {}) =>
  answer(201, { workflowId: 'w1', text: 'w1 as it was accepted', rateLimit: told(used), ...rest });

/** Attempt `number` was sent at ten times that, and ended 5 ms later. */
function attempt(number: number, outcome: Answer | undefined, rest: Partial<Attempt> = {}): Attempt {
  const what = { order: 'alice/1', idempotencyKey: '1', caller: 0, body: BODY, gateway: 0 };
  const times = { sentMs: number * 10, endedMs: number * 10 + 5 };
  return { number, ...what, ...times, answer: outcome, lost: outcome ? undefined : 'lost: ECONNRESET', ...rest };
}

const stored = (rest: Partial<StoredWorkflow> = {}): StoredWorkflow => ({
  ...{ id: 'w1', owner: 'alice', state: 'SUCCEEDED', order: 'alice/1', body: 'a', steps: 1, succeeded: 1 },
  ...rest,
});
const entry = (delta: number, reason: string, balanceAfter: number, principal = 'alice'): StoredEntry => ({
  ...{ principal, delta, reason, balanceAfter },
});
const GRANT = entry(10, 'grant:admin', 10);
const DEBIT = entry(-7, 'debit:wf:w1', 3);

interface Story {
  readonly history?: readonly Attempt[];
  readonly workflows?: readonly StoredWorkflow[];
  readonly used?: number;
  readonly balance?: number;
  readonly ledger?: readonly StoredEntry[];
  readonly revocation?: Evidence['revocation'];
  readonly promise?: Evidence['promise'];
}

const WELL: Required<Omit<Story, 'revocation' | 'promise'>> = {
  history: [attempt(0, created(1)), attempt(1, created(1, { replayed: true }))],
  workflows: [stored()],
  used: 1,
  balance: 3,
  ledger: [GRANT, DEBIT],
};

/** What the checks say of a caller with a limit of 2, another key without one, and the static token. */
function faultsOf(story: Story): string[] {
  const { history, workflows, used, balance, ledger } = { ...WELL, ...story };
  const evidence: Evidence = {
    promise: story.promise ?? 'exact',
    callers: [
      { name: 'alice/1', principal: 'alice', limit: 2 },
      { name: 'alice/2', principal: 'alice', limit: 0 },
      { name: 'token', principal: undefined, limit: 0 },
    ],
    keyHashes: ['h0', 'h1', 'h2'],
    credits: { alice: 10 },
    history,
    snapshot: { workflows, keys: [{ id: 'k0', hash: 'h0', used }], balances: new Map([['alice', balance]]), ledger },
    revocation: story.revocation,
  };
  return [...checkCharges(evidence), ...checkOrders(evidence), ...checkLimits(evidence)].map(({ fault }) => fault);
}

const NOTHING = { workflows: [], used: 0, balance: 10, ledger: [GRANT] };
const revoked = { caller: 0, begunMs: 0, doneMs: 1 };
const first = WELL.history[0]!;

describe('the checks of chaos:accounts', () => {
  const good: [what: string, story: Story][] = [
    ['all is well', {}],
    ['the first answer was lost', { history: [attempt(0, undefined), attempt(1, created(1, { replayed: true }))] }],
    ['the only answer was lost', { history: [attempt(0, undefined)] }],
    ['nothing came of a call that was lost', { ...NOTHING, history: [attempt(0, undefined)] }],
    ['another body was refused', { history: [first, attempt(1, answer(422), { body: OTHER })] }],
    ['a copy was refused meanwhile', { history: [first, attempt(0, answer(409))] }],
    ['a revoked key was refused', { history: [first, attempt(1, answer(401))], revocation: revoked }],
    [
      'a replay came through another key',
      { history: [first, attempt(1, created(0, { replayed: true }), { caller: 1 })] },
    ],
    [
      'it failed at once and was refunded',
      {
        workflows: [stored({ state: 'FAILED', succeeded: 0 })],
        ledger: [GRANT, DEBIT, entry(7, 'refund:wf:w1', 10)],
        balance: 10,
      },
    ],
    ['the base contract counts more', { promise: 'base', used: 2, history: [first, attempt(1, created(2))] }],
  ];
  for (const [what, story] of good) it(`have nothing to say when ${what}`, () => assert.deepEqual(faultsOf(story), []));

  const bad: [what: string, story: Story, fault: RegExp][] = [
    ['something else was counted', { used: 2 }, /2 submissions were counted, and 1 workflows accepted/],
    ['it was not counted', { used: 0 }, /0 submissions were counted, and 1 workflows accepted/],
    [
      'a refusal was counted',
      { ...NOTHING, used: 1, history: [attempt(0, answer(402))] },
      /1 submissions were counted/,
    ],
    ['the base contract counts less', { promise: 'base', used: 0 }, /0 submissions were counted, and 1/],
    ['more was counted than is allowed', { used: 3 }, /3 submissions were counted of 2/],
    [
      'it was debited twice',
      { ledger: [GRANT, DEBIT, { ...DEBIT, balanceAfter: -4 }], balance: -4 },
      /debit:wf:w1 is -7/,
    ],
    ['it was not debited', { ledger: [GRANT], balance: 10 }, /debit:wf:w1 is nothing/],
    ['it was refunded without a cause', { ledger: [GRANT, DEBIT, entry(7, 'refund:wf:w1', 10)] }, /refund:wf:w1 is 7/],
    ['a refund is missing', { workflows: [stored({ state: 'FAILED', succeeded: 0 })] }, /refund:wf:w1 is nothing/],
    ['what does not exist was debited', { ...NOTHING, ledger: [GRANT, DEBIT] }, /debit:wf:w1, which does not exist/],
    ['the balance is another', { balance: 4 }, /has 4 credits, but the ledger says 3/],
    ['more was granted', { ledger: [entry(17, 'grant:admin', 17), { ...DEBIT, balanceAfter: 10 }] }, /17 credits were/],
    ['there are two workflows', { workflows: [stored(), stored({ id: 'w2' })] }, /has 2 workflows/],
    ['a client was shown what does not exist', NOTHING, /there is no workflow w1/],
    [
      'a replay shows another',
      { history: [first, attempt(1, created(1, { workflowId: 'w9' }))] },
      /the workflow is w1/,
    ],
    [
      'a replay has other words',
      { history: [first, attempt(1, created(1, { replayed: true, text: 'x' }))] },
      /2 different/,
    ],
    ['two say to be the first', { history: [first, attempt(1, created(1))] }, /#0 and #1 each say to be the first/],
    ['a replay has nothing to repeat', { history: [attempt(0, created(1, { replayed: true }))] }, /none that it could/],
    ['it was accepted, and refused', { history: [attempt(0, answer(402))] }, /each of its attempts was refused/],
    ['nobody asked for it', { workflows: [stored({ order: 'bob/1' })] }, /nobody asked for the workflow/],
    ['it is somebody else’s', { workflows: [stored({ owner: 'bob' })] }, /belongs to bob/],
    [
      'another body was accepted',
      { history: [first, attempt(1, created(1), { body: OTHER })] },
      /the workflow is of a/,
    ],
    ['the same body was refused', { history: [first, attempt(1, answer(422))] }, /its body is the one/],
    ['the first body was refused', { ...NOTHING, history: [attempt(0, answer(422))] }, /nothing was accepted under/],
    ['nothing was in flight', { history: [first, attempt(1, answer(409))] }, /no other was under way/],
    ['a good body was refused', { ...NOTHING, history: [attempt(0, answer(400))] }, /its body is good/],
    ['a bad body was accepted', { history: [attempt(0, created(1), { body: FLAWED })] }, /its body has a flaw/],
    ['a good key was refused', { ...NOTHING, history: [attempt(0, answer(401))] }, /its key is good/],
    [
      'a revoked key was good',
      { history: [attempt(1, created(1))], revocation: revoked },
      /its key was revoked before/,
    ],
    ['a replay was to be paid for', { history: [first, attempt(1, answer(402))] }, /it was accepted before/],
    [
      'a replay was over the limit',
      { history: [first, attempt(1, answer(429, { rateLimit: told(2) }))] },
      /was accepted b/,
    ],
    ['the gateway broke', { ...NOTHING, history: [attempt(0, answer(500))] }, /nobody should be answered so/],
    ['an answer hides the quota', { history: [attempt(0, created(1, { rateLimit: undefined }))] }, /does not say what/],
    [
      'an answer knows another limit',
      { history: [attempt(0, created(1, { rateLimit: told(1, 3) }))] },
      /limit is 3, not 2/,
    ],
    ['an answer counts too little', { history: [attempt(0, created(0))] }, /says that 0 are used, but 1 are/],
    ['an answer counts too much', { history: [attempt(0, created(2))] }, /says that 2 are used, but in the end 1/],
    [
      'the limit was not reached',
      { ...NOTHING, history: [attempt(0, answer(429, { rateLimit: told(0), retryAfter: 60 }))] },
      /was refused at 0, and in the end 0 of 2/,
    ],
    ['there were credits enough', { ...NOTHING, history: [attempt(0, answer(402))] }, /7 credits, but 10 were left/],
  ];
  for (const [what, story, fault] of bad) {
    it(`see that ${what}`, () => assert.match(faultsOf(story).join('\n'), fault));
  }
});

describe('the plan of chaos:accounts', () => {
  it('follows from the seed alone, and has every kind of fault', () => {
    const plan = planAccounts({ seed: 1, operations: 600 });
    assert.deepEqual(plan, planAccounts({ seed: 1, operations: 600 }));
    assert.notDeepEqual(plan, planAccounts({ seed: 2, operations: 600 }));
    const planned = new Set(planAccounts({ seed: 3, operations: 60 }).faults.map(({ fault }) => fault.kind));
    assert.deepEqual([...planned].sort(), FAULT_KINDS.toSorted());
  });
});
