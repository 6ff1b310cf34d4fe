import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { WorkflowEvent } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import {
  collect,
  createScriptedRunner,
  failure,
  nothing,
  specOf,
  startTestOrchestrator,
  stateIn,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

type Graph = Readonly<Record<string, readonly string[]>>;

interface Run {
  readonly graph: Graph;
  /** Steps whose first attempt fails. */
  readonly failing: ReadonlySet<string>;
  /** How long each step takes, in 5 ms. */
  readonly delays: readonly number[];
}

/** Steps s0, s1, …, each of which depends on some of those before it; and some that fail. */
const arbitraryRun = fc
  .integer({ min: 1, max: 9 })
  .chain((size) =>
    fc.tuple(
      fc.tuple(
        ...Array.from({ length: size }, (_, index) => fc.subarray(names(index), { maxLength: Math.min(3, index) })),
      ),
      fc.subarray(names(size), { maxLength: Math.min(2, size) }),
      fc.array(fc.nat(8), { minLength: size, maxLength: size }),
    ),
  )
  .map(
    ([dependencies, failing, delays]): Run => ({
      graph: Object.fromEntries(dependencies.map((list, index) => [`s${index}`, list])) as Graph,
      failing: new Set(failing),
      delays,
    }),
  );

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `s${index}`);
}

const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31);

describe(`any graph of steps (FC_SEED=${seed})`, () => {
  let postgres: TestPostgres;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    postgres = await startTestPostgres();
    orchestrator = await startTestOrchestrator(await postgres.createMigratedDatabase(), runner);
  });
  after(async () => {
    await orchestrator?.close();
    await postgres?.close();
  });

  it('runs in order, tells it without a gap, and succeeds after retries', async () => {
    const plans = new Map<string, Run>();
    runner.work = async ({ workflowId, stepId, attempt }, onProgress) => {
      const { name } = (await orchestrator.client.getWorkflow({ workflowId })).spec!;
      const plan = plans.get(name)!;
      onProgress(0.5);
      await pause(plan.delays[Number(stepId.slice(1))]!);
      return attempt === 1 && plan.failing.has(stepId) ? failure('CHANCE') : nothing;
    };
    const runs = fc.sample(arbitraryRun, { numRuns: 24, seed });
    await Promise.all(
      runs.map(async (run, index) => {
        const name = `run ${index}`;
        plans.set(name, run);
        const { id } = await orchestrator.client.submitWorkflow({ spec: specOf(run.graph, { name }) });
        const follow = () => collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }), name);
        let events = await follow();
        check(run.graph, events);
        for (let retries = 0; stateIn(events.at(-1)) === JobState.FAILED; retries++) {
          assert.ok(retries < 3, 'each step fails at most once');
          await orchestrator.client.retryWorkflow({ workflowId: id });
          events = await follow();
          check(run.graph, events);
        }
        assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
        const started = runner.jobs.filter(({ workflowId }) => workflowId === id);
        assert.equal(new Set(started.map(({ requestId }) => requestId)).size, started.length, 'no attempt ran twice');
      }),
    );
  });

  it('ends for good when it is cancelled, whatever else happens at that moment', async () => {
    const { client } = orchestrator;
    const runs = fc.sample(fc.tuple(arbitraryRun, fc.nat(20), fc.nat(20)), { numRuns: 24, seed });
    const byName = new Map(runs.map(([run], index) => [`race ${index}`, run]));
    runner.work = async ({ workflowId, stepId, attempt }, onProgress) => {
      const { failing, delays } = byName.get((await client.getWorkflow({ workflowId })).spec!.name)!;
      onProgress(0.5);
      await pause(delays[Number(stepId.slice(1))]!);
      return attempt === 1 && failing.has(stepId) ? failure('CHANCE') : nothing;
    };
    await Promise.all(
      runs.map(async ([{ graph }, cancelAfter, retryAfter], index) => {
        const { id } = await client.submitWorkflow({ spec: specOf(graph, { name: `race ${index}` }) });
        const retries = async () => {
          await pause(retryAfter);
          for (let left = 5; left > 0; left--) if (await accepted(client.retryWorkflow({ workflowId: id }))) return;
        };
        const cancels = async () => {
          await pause(cancelAfter);
          await client.cancelWorkflow({ workflowId: id });
        };
        await Promise.all([retries(), cancels()]);
        // A retry may have come after the cancellation of a workflow that had failed before.
        const events = await collect(client.streamWorkflowEvents({ workflowId: id, replay: true }));
        check(graph, events);
        const { state, stepStatuses } = await client.getWorkflow({ workflowId: id });
        assert.equal(state, stateIn(events.at(-1)));
        assert.ok(state >= JobState.SUCCEEDED, 'it has ended');
        const live = stepStatuses.filter((step) => step.state < JobState.SUCCEEDED);
        if (state !== JobState.FAILED) assert.deepEqual(live, []);
        assert.ok(live.every((step) => step.state === JobState.QUEUED));
        if (state === JobState.CANCELLED) {
          assert.equal(await accepted(client.retryWorkflow({ workflowId: id })), false);
        }
        await client.cancelWorkflow({ workflowId: id });
        assert.deepEqual(await collect(client.streamWorkflowEvents({ workflowId: id, replay: true })), events);
      }),
    );
  });
});

/** Waits a moment that is as long as `steps` of 5 ms. */
function pause(steps: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, steps * 5));
}

/** Whether `call` was not refused because the workflow is in another state. */
async function accepted(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    assert.ok(error instanceof ConnectError && error.code === Code.FailedPrecondition, String(error));
    return false;
  }
}

/** What must hold of every story. */
function check(graph: Graph, events: readonly WorkflowEvent[]): void {
  const shown = JSON.stringify(graph);
  assert.deepEqual(
    events.map(({ eventId }) => Number(eventId)),
    events.map((_, index) => index + 1),
    `ids rise without a gap: ${shown}`,
  );
  assert.equal(events.at(-1)?.event.case, 'workflowUpdate', `the end comes last: ${shown}`);
  const states = new Map<string, JobState>();
  const fractions = new Map<string, number>();
  for (const { event } of events) {
    if (event.case !== 'stepUpdate') continue;
    const { stepId, state, fraction } = event.value;
    if (state === JobState.RUNNING) {
      for (const needed of graph[stepId]!) {
        assert.equal(states.get(needed), JobState.SUCCEEDED, `${stepId} ran before ${needed}: ${shown}`);
      }
      if (states.get(stepId) === JobState.RUNNING) {
        assert.ok(fraction >= fractions.get(stepId)!, `${stepId} went back: ${shown}`);
      }
    }
    states.set(stepId, state);
    fractions.set(stepId, fraction);
  }
}
