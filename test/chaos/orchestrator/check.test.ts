import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkCharges } from './check-charges.ts';
import { checkEvents } from './check-events.ts';
import { checkHandovers, longestPickupMs } from './check-handovers.ts';
import { checkOutcomes } from './check-outcomes.ts';
import {
  answer,
  DEBIT,
  entry,
  eventsOf,
  evidenceOf,
  FAILED_AT_ONCE,
  FILE,
  GRANT,
  historyOf,
  OTHERS_PAID,
  PAID,
  REFUND,
  RUN_A,
  storyOf,
  type Told,
  WELL,
} from './told.ts';

function faultsOf(told: Told): string[] {
  const evidence = evidenceOf(told);
  return [checkOutcomes, checkEvents, checkCharges, checkHandovers].flatMap((check) => check(evidence));
}

const replaced = (lines: readonly string[], line: string, ...others: string[]) =>
  lines.flatMap((one) => (one === line ? others : [one]));
const seenWithout = (id: number) => ({ seen: storyOf(historyOf(WELL)).seen.filter((seen) => seen.id !== id) });
const seenOtherwise = (id: number, state: string) => ({
  seen: storyOf(historyOf(WELL)).seen.map((seen) => (seen.id === id ? { ...seen, state } : seen)),
});
const handover = (takenMs: number | undefined, untilMs = Number.POSITIVE_INFINITY) => ({
  handovers: [{ what: 'orchestrator 1 killed', fromMs: 10_000, untilMs, steps: new Map([['w0/a#1', takenMs]]) }],
});
const ended = (exitCode: number) => ({ endings: [{ name: 'gateway 0', atMs: 0, exitCode, stderr: 'TypeError' }] });

describe('the checks of chaos:orchestrator', () => {
  const good: [what: string, told: Told][] = [
    ['all is well', {}],
    [
      'a step was run again by itself',
      { events: replaced(WELL, 'a RUNNING 0.5', 'a RUNNING 0.5', 'a QUEUED', 'a RUNNING') },
    ],
    ['it failed at once, and was refunded', { events: FAILED_AT_ONCE, ending: 'fails', ledger: [...PAID, REFUND] }],
    ['it failed later', { events: [...WELL.slice(0, 6), 'b FAILED', 'FAILED'], ending: 'fails' }],
    [
      'it was retried, and paid for again',
      {
        events: [...FAILED_AT_ONCE, 'QUEUED', 'a QUEUED', 'RUNNING', ...WELL.slice(2)],
        ending: 'is retried',
        story: { retried: [answer(400, { before: [0] })] },
        ledger: [...PAID, REFUND, DEBIT],
      },
    ],
    [
      'there were no credits to retry it',
      {
        events: FAILED_AT_ONCE,
        ending: 'is retried',
        story: { retried: [answer(402)] },
        ledger: [...PAID, REFUND, ...OTHERS_PAID],
        others: 2,
        limit: 3,
      },
    ],
    [
      'it was cancelled',
      {
        events: [...RUN_A, 'a CANCELLED', 'b CANCELLED', 'CANCELLED'],
        ending: 'is cancelled',
        story: { cancelled: answer(200, { state: 'CANCELLED' }) },
      },
    ],
    [
      'it was over before it was cancelled',
      { ending: 'is cancelled', story: { cancelled: answer(200, { state: 'SUCCEEDED' }) } },
    ],
    ['its quota was used up', { story: { submitted: answer(429) }, others: 2, ledger: [GRANT, ...OTHERS_PAID] }],
    ['a step was taken over in time', { rest: handover(24_000) }],
    [
      'a step was taken over when Postgres was back',
      { rest: { ...handover(29_000), outages: [{ fromMs: 12_000, untilMs: 17_000 }] } },
    ],
    ['who was paused for a while finished the step', { rest: handover(undefined, 20_000) }],
    ['a program ended for want of a database', { rest: ended(69) }],
  ];
  for (const [what, told] of good) it(`have nothing to say when ${what}`, () => assert.deepEqual(faultsOf(told), []));

  const bad: [what: string, told: Told, fault: RegExp][] = [
    ['it ended otherwise', { ending: 'fails' }, /is SUCCEEDED, but should be FAILED: it fails/],
    ['it did not end', { events: WELL.slice(0, 6) }, /is RUNNING, but should be SUCCEEDED/],
    ['a step runs for ever', { events: [...RUN_A, 'b RUNNING', 'CANCELLED'] }, /step a is RUNNING for ever/],
    ['nobody was answered', { story: { submitted: undefined } }, /was never answered/],
    ['it was refused for no reason', { story: { submitted: answer(400) } }, /was answered with 400/],
    ['what was accepted is not there', { history: { order: 'order-9' } }, /accepted as w0, but there is no workflow/],
    ['it was accepted as another', { story: { submitted: answer(201, { id: 'w9' }) } }, /was accepted as w9/],
    ['it is there twice', { strays: [historyOf(WELL, { id: 'w1' })] }, /has 2 workflows/],
    [
      'what was refused is there',
      { story: { submitted: answer(402) }, strays: [historyOf(WELL)] },
      /answered with 402, but there is a workflow/,
    ],
    ['its retry was refused', { story: { retried: [answer(400)] } }, /its retry was answered with 400/],
    ['its cancellation was refused', { story: { cancelled: answer(404) } }, /its cancellation was answered with 404/],
    ['an entry is left in the queue', { rest: { queue: [{ id: 'w0/a#1', status: 'PENDING' }] } }, /w0\/a#1 is PENDING/],
    ['a file is not there', { rest: { objects: new Map() } }, /has no bytes in the store, not 5/],
    ['a file is another', { rest: { objects: new Map([[FILE.uri, 4]]) } }, /has 4 bytes in the store/],
    [
      'an event is not there',
      { history: { events: eventsOf(WELL).filter(({ id }) => id !== 3) } },
      /event 4: is at place 3/,
    ],
    [
      'an event is there twice',
      { history: { events: eventsOf(WELL).flatMap((e) => (e.id === 3 ? [e, e] : [e])) } },
      /3: is at/,
    ],
    ['the last event is not there', { history: { lastEventId: 9 } }, /the last event is 8, but 9 were counted/],
    [
      'a step succeeded twice',
      { events: replaced(WELL, 'a SUCCEEDED', 'a SUCCEEDED', 'a SUCCEEDED') },
      /from SUCCEEDED to SUCC/,
    ],
    [
      'a step that succeeded failed',
      { events: replaced(WELL, 'b RUNNING', 'a FAILED', 'b RUNNING') },
      /from SUCCEEDED to FAILED/,
    ],
    [
      'a step that succeeded ran again',
      { events: replaced(WELL, 'b RUNNING', 'a RUNNING', 'b RUNNING') },
      /from SUCCEEDED to RUN/,
    ],
    ['a step ran too early', { events: replaced(WELL, 'a RUNNING', 'b RUNNING') }, /step b ran before a had succeeded/],
    ['a step never ran', { events: replaced(WELL, 'b RUNNING') }, /step b went from QUEUED to SUCCEEDED/],
    [
      'a step went back',
      { events: replaced(WELL, 'a SUCCEEDED', 'a RUNNING 0.25', 'a SUCCEEDED') },
      /step a went back to 0.25/,
    ],
    ['the workflow was over twice', { events: [...WELL, 'SUCCEEDED'] }, /went from SUCCEEDED to SUCCEEDED/],
    [
      'a step moved after the end',
      { events: [...RUN_A, 'CANCELLED', 'a SUCCEEDED', 'CANCELLED'] },
      /a moved after the workflow was/,
    ],
    [
      'the workflow succeeded too early',
      { events: replaced(WELL, 'b SUCCEEDED') },
      /succeeded before all of its steps had/,
    ],
    [
      'the workflow forgot what succeeded',
      {
        history: { events: eventsOf(WELL).map((e) => (e.id === 8 ? { ...e, steps: new Map([['a', 'RUNNING']]) } : e)) },
      },
      /step a, which had succeeded, is RUNNING/,
    ],
    ['a row is not what its events say', { history: { state: 'FAILED' } }, /is FAILED, but its events say SUCCEEDED/],
    [
      'the row of a step is not what its events say',
      {
        history: {
          steps: [
            { id: 'a', state: 'FAILED', files: [] },
            { id: 'b', state: 'SUCCEEDED', files: [FILE] },
          ],
        },
      },
      /step a is FAILED, but the events say SUCCEEDED/,
    ],
    [
      'a step is not there',
      { history: { steps: [{ id: 'a', state: 'SUCCEEDED', files: [FILE] }] } },
      /has 1 steps instead of 2/,
    ],
    ['a watcher missed an event', { story: seenWithout(3) }, /its watcher: after 2 came 4/],
    ['a watcher missed the end', { story: seenWithout(8) }, /its watcher: nothing came after 7/],
    [
      'a watcher saw an event twice',
      { story: { seen: storyOf(historyOf(WELL)).seen.flatMap((seen) => (seen.id === 3 ? [seen, seen] : [seen])) } },
      /its watcher: 3 came again/,
    ],
    ['a watcher saw another event', { story: seenOtherwise(5, 'FAILED') }, /its watcher saw a FAILED as event 5/],
    ['a watcher was told another end', { story: { ends: ['FAILED'] } }, /was told that it ended as FAILED/],
    ['a watcher did not come to an end', { story: { isOver: false } }, /its watcher did not come to an end/],
    ['a watcher saw something odd', { story: { oddities: ['its watcher got a gap'] } }, /its watcher got a gap/],
    [
      'nobody asked for it',
      { strays: [historyOf(WELL, { id: 'w1', order: 'x' })] },
      /nobody asked for the workflow w1/,
    ],
    ['it was counted twice', { used: 2 }, /2 submissions were counted, and 1 accepted/],
    ['it was not counted', { used: 0 }, /0 submissions were counted, and 1 accepted/],
    ['the limit was not reached', { story: { submitted: answer(429) }, used: 0 }, /though only 0 of 2 were used/],
    [
      'it was debited twice',
      { ledger: [...PAID, entry(-14, 'debit:wf:w0', 2)] },
      /the ledger has debit:wf:w0 -14 of alice, debit/,
    ],
    ['it was not debited', { ledger: [GRANT] }, /the ledger has nothing, but should have debit:wf:w0 -14/],
    [
      'a debit is of another sum',
      { ledger: [GRANT, entry(-7, 'debit:wf:w0', 23)] },
      /the ledger has debit:wf:w0 -7 of alice/,
    ],
    [
      'a refund is missing',
      { events: FAILED_AT_ONCE, ending: 'fails' },
      /should have debit:wf:w0 -14 of alice, refund:wf:w0 14/,
    ],
    [
      'a refund was not due',
      { ledger: [...PAID, REFUND] },
      /debit:wf:w0 -14 of alice, refund:wf:w0 14 of alice, but should/,
    ],
    [
      'what does not exist was debited',
      { ledger: [...PAID, entry(-7, 'debit:wf:w7', 9)] },
      /entries for w7, which does not exist/,
    ],
    ['the balance is another', { balance: 4 }, /has 4, but the ledger says 16/],
    ['the ledger does not add up', { ledger: [GRANT, { ...DEBIT, balanceAfter: 15 }] }, /the balance was 15, not 16/],
    [
      'more was granted',
      { ledger: [entry(40, 'grant:admin', 40), entry(-14, 'debit:wf:w0', 26)] },
      /40 credits were granted, not 30/,
    ],
    ['it belongs to another', { owner: 'bob' }, /is alice's, but belongs to bob/],
    ['there were credits enough', { story: { submitted: answer(402) } }, /but 30 were left at all times/],
    [
      'a step was taken over late',
      { rest: handover(26_000) },
      /1 of 1 steps came too late to others; w0\/a#1 waited for 16.0 s, without Postgres being away, until/,
    ],
    ['a step was not taken over', { rest: handover(undefined) }, /nobody took it/],
    ['nobody took the steps of who was paused for long', { rest: handover(undefined, 27_000) }, /waited for 17.0 s/],
    [
      'nobody knows what the dead one was running',
      { rest: { handovers: [{ what: 'x', fromMs: 0, untilMs: Number.POSITIVE_INFINITY, steps: undefined }] } },
      /could find out what it was running/,
    ],
    ['a program broke', { rest: ended(1) }, /gateway 0 ended by itself with 1: TypeError/],
  ];
  for (const [what, told, fault] of bad) {
    it(`see that ${what}`, () => assert.match(faultsOf(told).join('\n'), fault));
  }

  it('tell the longest pickup without the time for which Postgres was away', () => {
    const outages = [{ fromMs: 5_000, untilMs: 12_000 }];
    assert.equal(longestPickupMs({ ...handover(19_000), outages }), 7_000);
    assert.equal(longestPickupMs({ ...handover(undefined), outages }), undefined);
  });
});
