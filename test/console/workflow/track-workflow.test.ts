import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { StepStatus, Workflow } from '../../../console/src/api.ts';
import { ApiFault } from '../../../console/src/api-fault.ts';
import { trackWorkflow } from '../../../console/src/workflow/track-workflow.ts';
import { settle } from './event-server.ts';
import { exampleStatus, exampleWorkflow } from './example-workflow.ts';

const IDS = ['a', 'b'];
const second = (n: number) => new Date(Date.parse('2026-01-15T09:30:00Z') + n * 1_000).toISOString();
const as = (state: Workflow['state'], n: number, ...step_statuses: StepStatus[]) =>
  exampleWorkflow(IDS, { state, updated_at: second(n), ...(step_statuses.length > 0 && { step_statuses }) });

const frame = (type: string, data: unknown, id?: number) =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const whole = (workflow: Workflow, id?: number) =>
  frame('workflow_update', { workflow_id: 'w', workflow_update: workflow, at: workflow.updated_at }, id);
const step = (status: StepStatus, n: number, id: number) =>
  frame('step_update', { workflow_id: 'w', step_update: status, at: second(n) }, id);
const END = frame('end', { state: 'X' });

/** A gateway whose workflow is `now`, and whose streams bring what is in `streams`, one after the other. */
function track(t: TestContext, now: Workflow | ApiFault, streams: (string | Response)[] = []) {
  const world = { now, reads: 0, opened: [] as (string | undefined)[], signals: [] as AbortSignal[] };
  const said: string[] = [];
  let shown: Workflow | undefined;
  const tracker = trackWorkflow({
    workflowId: 'w',
    api: {
      async getWorkflow() {
        world.reads++;
        if (world.now instanceof ApiFault) throw world.now;
        return world.now;
      },
      async openEvents(_id, { lastEventId, signal } = {}) {
        world.opened.push(lastEventId);
        world.signals.push(signal!);
        const next = streams.shift();
        if (next instanceof Response) return next;
        // Without an end it stays open.
        const body = new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode(next ?? ': nothing\n\n')),
        });
        return new Response(body);
      },
    },
    onWorkflow(workflow) {
      shown = workflow;
    },
    onStatus: ({ kind }) => said.push(kind === 'over' ? `over as ${shown?.state}` : kind),
    onFault: (fault) => fault !== undefined && said.push(`fault ${(fault as ApiFault).status}`),
  });
  t.after(tracker.close);
  return { tracker, world, said, shown: () => shown };
}

describe('trackWorkflow', () => {
  it('reads a workflow, follows it to its end, and shows the end before it says so', async (t) => {
    const { world, said, shown } = track(t, as('RUNNING', 1), [
      whole(as('RUNNING', 1)) +
        step(exampleStatus('a', { state: 'SUCCEEDED' }), 2, 1) +
        whole(
          as('SUCCEEDED', 3, exampleStatus('a', { state: 'SUCCEEDED' }), exampleStatus('b', { state: 'SUCCEEDED' })),
          2,
        ) +
        END,
    ]);
    await settle();
    assert.deepEqual(said, ['connecting', 'live', 'over as SUCCEEDED']);
    assert.equal(shown()?.step_statuses[1]?.state, 'SUCCEEDED');
    assert.equal(world.reads, 1);
  });

  it('opens no stream for a workflow that is over', async (t) => {
    const { world, said } = track(t, as('CANCELLED', 1));
    await settle();
    assert.deepEqual(said, ['over as CANCELLED']);
    assert.equal(world.opened.length, 0);
  });

  it('goes on after a retry, with the stream from where the workflow is', async (t) => {
    const { tracker, world, said, shown } = track(t, as('FAILED', 5), [
      whole(as('QUEUED', 6)) + whole(as('SUCCEEDED', 9), 12) + END,
    ]);
    await settle();
    tracker.take(as('QUEUED', 6));
    await settle();
    assert.deepEqual(said, ['over as FAILED', 'connecting', 'live', 'over as SUCCEEDED']);
    assert.deepEqual(world.opened, [undefined]);
    assert.equal(shown()?.state, 'SUCCEEDED');
  });

  it('shows a cancellation at once, and does not go back when the stream lags behind', async (t) => {
    const { tracker, shown, said } = track(t, as('RUNNING', 1), [whole(as('RUNNING', 1))]);
    await settle();
    tracker.take(as('CANCELLED', 5));
    assert.equal(shown()?.state, 'CANCELLED');
    assert.deepEqual(said, ['connecting', 'live'], 'the stream says when it is over');
  });

  it('reads again when the stream is over but the workflow is not', async (t) => {
    const { world, said } = track(t, as('RUNNING', 1), [new Response(null, { status: 204 })]);
    // The first read has its answer already.
    world.now = as('SUCCEEDED', 4);
    await settle();
    assert.equal(world.reads, 2);
    assert.equal(said.at(-1), 'over as SUCCEEDED');
  });

  it('does not ask all the time when the stream is over and the workflow never is', async (t) => {
    const { world } = track(t, as('UNKNOWN', 1), Array(50).fill(END));
    await settle();
    await settle();
    assert.equal(world.reads, 2);
    assert.equal(world.opened.length, 2);
  });

  it('opens no stream while nobody sees the page', async (t) => {
    const { tracker, world, said } = track(t, as('RUNNING', 1));
    tracker.sleep();
    await settle();
    assert.equal(world.opened.length, 0);
    tracker.wake();
    await settle();
    assert.deepEqual(said, ['connecting', 'live']);
    tracker.sleep();
    assert.equal(world.signals[0]!.aborted, true);
  });

  it('says why a workflow cannot be read, and tries again when it is told to', async (t) => {
    const fault = new ApiFault({ status: 503, code: 'UNAVAILABLE', message: 'away', retryable: true });
    const { tracker, world, said } = track(t, fault);
    await settle();
    assert.deepEqual(said, ['fault 503']);
    world.now = as('SUCCEEDED', 1);
    tracker.again();
    await settle();
    assert.deepEqual(said, ['fault 503', 'over as SUCCEEDED']);
  });

  it('looks whether somebody else has retried it when the page is seen again', async (t) => {
    const { tracker, world, said } = track(t, as('FAILED', 1));
    await settle();
    tracker.wake();
    await settle();
    assert.deepEqual(said, ['over as FAILED', 'over as FAILED']);
    world.now = as('RUNNING', 7);
    tracker.wake();
    await settle();
    assert.deepEqual(said.slice(2), ['connecting', 'live']);
  });

  it('stops everything when it is closed', async (t) => {
    const { tracker, world, said } = track(t, as('RUNNING', 1));
    await settle();
    tracker.close();
    assert.equal(world.signals[0]!.aborted, true);
    tracker.take(as('QUEUED', 9));
    await settle();
    assert.deepEqual(said, ['connecting', 'live']);
    assert.equal(world.opened.length, 1);
  });
});
