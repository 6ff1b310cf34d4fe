import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
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
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

type Graph = Readonly<Record<string, readonly string[]>>;

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
  .map(([dependencies, failing, delaysMs]) => ({
    graph: Object.fromEntries(dependencies.map((list, index) => [`s${index}`, list])) as Graph,
    failing: new Set(failing),
    delaysMs,
  }));

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
    orchestrator = await startTestOrchestrator(await postgres.createDatabase(), runner);
  });
  after(async () => {
    await orchestrator?.close();
    await postgres?.close();
  });

  it('runs in order, tells it without a gap, and succeeds after retries', async () => {
    const plans = new Map<string, ReturnType<typeof planOf>>();
    function planOf({ failing, delaysMs }: { failing: ReadonlySet<string>; delaysMs: readonly number[] }) {
      return { failing, delayMs: (stepId: string) => delaysMs[Number(stepId.slice(1))]! * 5 };
    }
    runner.work = async ({ workflowId, stepId, attempt }, onProgress) => {
      const { name } = (await orchestrator.client.getWorkflow({ workflowId })).spec!;
      const plan = plans.get(name)!;
      onProgress(0.5);
      await new Promise((resolve) => setTimeout(resolve, plan.delayMs(stepId)));
      return attempt === 1 && plan.failing.has(stepId) ? failure('CHANCE') : nothing;
    };
    const runs = fc.sample(arbitraryRun, { numRuns: 24, seed });
    await Promise.all(
      runs.map(async (run, index) => {
        const name = `run ${index}`;
        plans.set(name, planOf(run));
        const { id } = await orchestrator.client.submitWorkflow({ spec: specOf(run.graph, { name }) });
        const follow = () => collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }), name);
        let events = await follow();
        check(run.graph, events);
        for (let retries = 0; stateOf(events) === JobState.FAILED; retries++) {
          assert.ok(retries < 3, 'each step fails at most once');
          await orchestrator.client.retryWorkflow({ workflowId: id });
          events = await follow();
          check(run.graph, events);
        }
        assert.equal(stateOf(events), JobState.SUCCEEDED);
        const started = runner.jobs.filter(({ workflowId }) => workflowId === id);
        assert.equal(new Set(started.map(({ requestId }) => requestId)).size, started.length, 'no attempt ran twice');
      }),
    );
  });
});

function stateOf(events: readonly WorkflowEvent[]): JobState | undefined {
  return events.at(-1)?.event.value?.state;
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
