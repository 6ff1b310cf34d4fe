import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Api, WorkflowEvent } from '../../../console/src/api.ts';
import { ApiFault } from '../../../console/src/api-fault.ts';
import { type FollowStatus, followEvents, STALL_MS } from '../../../console/src/workflow/follow-events.ts';
import { createEventServer, createManualClock, settle } from './event-server.ts';

type OpenEvents = Api['openEvents'];

/** Follows to the end, where nothing waits. Every event must be the next one: none is lost, and none comes twice. */
async function followToEnd(server: { readonly openEvents: OpenEvents }): Promise<{ done: number; kinds: string[] }> {
  let done: number | undefined;
  let wrong: string | undefined;
  const kinds: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  followEvents({
    openEvents: server.openEvents,
    workflowId: 'w',
    // The watchdog never barks, and every wait is over at once.
    clock: { now: () => 0, after: (ms, call) => (ms === STALL_MS ? () => {} : cancelOf(setImmediate(call))) },
    onEvent(event) {
      const { workflow_update, step_update } = event as { workflow_update?: { done: number } } & WorkflowEvent;
      if (workflow_update) done = workflow_update.done;
      else if (step_update?.step_id === `ß-${done! + 1} 🧬`) done = done! + 1;
      else wrong ??= `after ${done} came ${JSON.stringify(event)}`;
    },
    onStatus(status) {
      kinds.push(status.kind);
      if (status.kind === 'over' || status.kind === 'failed') resolve();
    },
  });
  await promise;
  assert.equal(wrong, undefined);
  assert.equal(kinds.at(-1), 'over');
  return { done: done!, kinds };
}

const cancelOf = (immediate: NodeJS.Immediate) => () => clearImmediate(immediate);

/** Serves the answers in order, and the last one again and again. */
function answerWith(answers: readonly (() => Response)[]) {
  const cursors: (string | undefined)[] = [];
  const signals: (AbortSignal | undefined)[] = [];
  const openEvents: OpenEvents = async (_id, { lastEventId, signal } = {}) => {
    cursors.push(lastEventId);
    signals.push(signal);
    return answers[Math.min(cursors.length, answers.length) - 1]!();
  };
  return { openEvents, cursors, signals };
}

function watch(openEvents: OpenEvents, random = () => 1) {
  const time = createManualClock();
  const statuses: FollowStatus[] = [];
  const events: WorkflowEvent[] = [];
  const follower = followEvents({
    openEvents,
    workflowId: 'w',
    clock: time.clock,
    random,
    onEvent: (event) => events.push(event),
    onStatus: (status) => statuses.push(status),
  });
  return { time, statuses, events, follower, kinds: () => statuses.map(({ kind }) => kind) };
}

const text = (body: string) => () => new Response(body);
const open = (body: string) => () =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(body)),
    }),
  );
const refuse =
  (status: number, more: { retryable?: boolean; retryAfterSeconds?: number } = {}) =>
  () => {
    throw new ApiFault({ status, code: 'X', message: 'no', retryable: false, ...more });
  };
const step = (id: number) => `id: ${id}\nevent: step_update\ndata: {"step_update":{"step_id":"s${id}"}}\n\n`;
const END = 'event: end\ndata: {"state":"FAILED"}\n\n';
const errorEvent = (status: number, retryable: boolean) =>
  `event: error\ndata: ${JSON.stringify({ status, code: 'X', message: 'sorry', retryable })}\n\n`;

describe('followEvents', () => {
  it('loses nothing and takes nothing twice, wherever the first connection is cut', async () => {
    const whole = createEventServer({ events: 6, cuts: [] });
    const length = (await (await whole.openEvents('w')).text()).length + 8;
    for (let bytes = 0; bytes < length; bytes++) {
      const server = createEventServer({ events: 6, cuts: [{ bytes, breaks: bytes % 2 === 0 }], pieceBytes: 17 });
      const { done } = await followToEnd(server);
      assert.equal(done, 6, `cut after ${bytes} bytes`);
    }
  });

  it('loses nothing through any number of cuts, in pieces of any size, and over gaps', async () => {
    const cuts = fc.array(fc.record({ bytes: fc.nat(900), breaks: fc.boolean() }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        cuts,
        fc.integer({ min: 1, max: 200 }),
        async (events, oldest, cuts, pieceBytes) => {
          const server = createEventServer({ events, oldest: Math.min(oldest, events), cuts, pieceBytes });
          const { done, kinds } = await followToEnd(server);
          assert.equal(done, events);
          assert.equal(kinds[0], 'connecting');
        },
      ),
      { numRuns: 150 },
    );
  });

  it('reads the workflow anew after a gap, at once', async () => {
    const { openEvents, cursors } = answerWith([
      text(step(3)),
      text(`event: gap\ndata: {"requested":3,"oldest":9}\n\n${step(9)}`),
      text(END),
    ]);
    const { time, events, kinds } = watch(openEvents);
    await time.pass(3_000);
    assert.deepEqual(cursors, [undefined, '3', undefined]);
    assert.equal(events.length, 1, 'nothing behind the gap is taken');
    assert.equal(kinds().at(-1), 'over');
  });

  it('ignores an event that it has had', async () => {
    const { openEvents } = answerWith([text(step(3)), text(step(2) + step(3) + step(10) + END)]);
    const { time, events } = watch(openEvents);
    await time.pass(3_000);
    assert.deepEqual(
      events.map(({ step_update }) => step_update?.step_id),
      ['s3', 's10'],
    );
  });

  it('keeps its place over an event that has no id', async () => {
    const { openEvents, cursors } = answerWith([text(step(3) + step(0).replace('id: 0\n', '')), text(END)]);
    const { time, events } = watch(openEvents);
    await time.pass(3_000);
    assert.equal(events.length, 2);
    assert.deepEqual(cursors, [undefined, '3']);
  });

  it('waits as long as the server asks after a loss, and longer and longer when it is not let in', async () => {
    const { openEvents, cursors } = answerWith([text(`retry: 1234\n${step(1)}`), refuse(503, { retryable: true })]);
    const { time, statuses } = watch(openEvents);
    await time.pass(130_000);
    const waits = statuses.flatMap((status) => (status.kind === 'reconnecting' ? [status.waitMs] : []));
    assert.deepEqual(waits.slice(0, 8), [1234, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert.equal(cursors[1], '1');
  });

  it('adds what Retry-After asks for', async () => {
    const { openEvents } = answerWith([refuse(429, { retryable: true, retryAfterSeconds: 7 })]);
    const { time, statuses } = watch(openEvents, () => 0);
    await time.pass(10_000);
    const waits = statuses.flatMap((status) => (status.kind === 'reconnecting' ? [status.waitMs] : []));
    assert.deepEqual(waits, [7_500, 8_000]);
  });

  for (const status of [400, 401, 403, 404, 501]) {
    it(`gives up at ${status}`, async () => {
      const { openEvents, cursors } = answerWith([refuse(status)]);
      const { time, kinds } = watch(openEvents);
      await time.pass(100_000);
      assert.deepEqual(kinds(), ['connecting', 'failed']);
      assert.equal(cursors.length, 1);
      assert.equal(time.pending(), 0);
    });
  }

  it('ends at 204', async () => {
    const { openEvents } = answerWith([() => new Response(null, { status: 204 })]);
    const { time, kinds } = watch(openEvents);
    await time.pass(1);
    assert.deepEqual(kinds(), ['connecting', 'over']);
    assert.equal(time.pending(), 0);
  });

  it('comes back after an error in the stream that can pass, and gives up at one that cannot', async () => {
    const { openEvents, cursors } = answerWith([
      text(step(1) + errorEvent(503, true)),
      text(step(2) + errorEvent(404, false)),
    ]);
    const { time, statuses } = watch(openEvents);
    await time.pass(10_000);
    const last = statuses.at(-1)!;
    assert.deepEqual(cursors, [undefined, '1']);
    assert.ok(last.kind === 'failed' && last.fault.message === 'sorry');
  });

  it('asks again when the credential is refused in the stream, so that the session ends as it does everywhere', async () => {
    const { openEvents, cursors } = answerWith([text(step(1) + errorEvent(401, false)), refuse(401)]);
    const { time, kinds } = watch(openEvents);
    await time.pass(10_000);
    assert.equal(cursors.length, 2);
    assert.equal(kinds().at(-1), 'failed');
  });

  it('notices a connection that is dead although nobody has said so', async () => {
    const { openEvents, signals, cursors } = answerWith([open(step(1)), text(END)]);
    const { time, kinds } = watch(openEvents);
    await time.pass(STALL_MS - 1);
    assert.deepEqual(kinds(), ['connecting', 'live']);
    await time.pass(1);
    assert.equal(signals[0]!.aborted, true);
    assert.deepEqual(kinds(), ['connecting', 'live', 'reconnecting']);
    await time.pass(3_000);
    assert.deepEqual(cursors, [undefined, '1']);
    assert.equal(kinds().at(-1), 'over');
  });

  it('does not wait for an answer that never comes', async () => {
    let calls = 0;
    const { time, kinds, follower } = watch((_id, { signal } = {}) => {
      calls++;
      return new Promise((_resolve, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)));
    });
    await time.pass(STALL_MS);
    assert.deepEqual(kinds(), ['connecting', 'reconnecting']);
    await time.pass(1_000);
    assert.equal(calls, 2);
    follower.stop();
    await settle();
    assert.equal(time.pending(), 0);
  });

  it('trusts a stream that was heard a moment ago, and no other, when the page is seen again', async () => {
    const { openEvents, cursors } = answerWith([open(step(1)), text(END)]);
    const { time, follower } = watch(openEvents);
    await time.pass(10_000);
    follower.wake();
    await settle();
    assert.equal(cursors.length, 1);
    await time.pass(15_000);
    follower.wake();
    await time.pass(3_000);
    assert.deepEqual(cursors, [undefined, '1']);
  });

  it('does not wait any longer when the network is back', async () => {
    const { openEvents, cursors } = answerWith([
      refuse(0, { retryable: true }),
      refuse(0, { retryable: true }),
      text(END),
    ]);
    const { time, follower, kinds } = watch(openEvents);
    await time.pass(0);
    assert.equal(kinds().at(-1), 'reconnecting');
    follower.reconnect();
    await settle();
    assert.equal(cursors.length, 2);
    follower.wake();
    await settle();
    assert.equal(kinds().at(-1), 'over');
    assert.equal(time.pending(), 0);
  });

  it('holds no connection while it sleeps, and goes on at once where it was', async () => {
    const { openEvents, cursors, signals } = answerWith([open(step(1)), open(step(2)), text(END)]);
    const { time, follower, kinds } = watch(openEvents);
    await settle();
    follower.sleep();
    await time.pass(100_000);
    assert.equal(signals[0]!.aborted, true);
    assert.equal(time.pending(), 0);
    assert.deepEqual(cursors, [undefined]);
    follower.wake();
    await settle();
    // Also when it is woken before it has noticed.
    follower.sleep();
    follower.wake();
    await settle();
    assert.deepEqual(cursors, [undefined, '1', '2']);
    assert.deepEqual(kinds(), ['connecting', 'live', 'connecting', 'live', 'connecting', 'live', 'over']);
  });

  it('leaves nothing behind when it is stopped, also in its sleep', async () => {
    const { openEvents, cursors } = answerWith([open(step(1))]);
    const { time, follower } = watch(openEvents);
    follower.sleep();
    await settle();
    follower.stop();
    await time.pass(100_000);
    assert.deepEqual(cursors, []);
    assert.equal(time.pending(), 0);
  });

  it('leaves nothing behind when it is stopped', async () => {
    const { openEvents, signals } = answerWith([open(step(1))]);
    const { time, follower, kinds, events } = watch(openEvents);
    await settle();
    follower.stop();
    await time.pass(100_000);
    assert.equal(signals[0]!.aborted, true);
    assert.equal(time.pending(), 0);
    assert.equal(events.length, 1);
    assert.deepEqual(kinds(), ['connecting', 'live']);
  });

  it('opens only one connection, which asks for heartbeats that it can hear', async () => {
    const { openEvents, cursors } = answerWith([open(`${step(1)}event: heartbeat\ndata: {}\n\n`)]);
    const { time, events, follower } = watch(openEvents);
    await time.pass(1_000);
    assert.equal(cursors.length, 1);
    assert.equal(events.length, 1);
    follower.stop();
    await settle();
  });
});
