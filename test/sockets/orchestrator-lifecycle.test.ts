import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { WorkflowEvent } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { StepOutcome } from '../../src/orchestrator/runners/runner.ts';
import {
  as,
  collect,
  createScriptedRunner,
  eventually,
  failure,
  nothing,
  refusal,
  specOf,
  startTestOrchestrator,
  stateIn,
  untilAborted,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { within } from '../support/waiting.ts';

const artifact = {
  uri: 'r2://foldforge/artifacts/ab.pdb',
  contentType: 'chemical/x-pdb',
  sizeBytes: 12,
  sha256: 'ab',
  metrics: { plddt: 91.5 },
};
const sequence = { fasta: '>s\nMK', globalScore: 0.75, seqRecovery: 0.5, sampleIndex: 3 };
const made: StepOutcome = { output: { artifacts: [artifact], sequences: [sequence] } };

const stateNames = new Map<number, string>(Object.entries(JobState).map(([name, value]) => [value, name]));

describe('a workflow', () => {
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
  beforeEach(() => {
    runner.jobs.length = 0;
    runner.work = () => nothing;
  });

  const submit = async (graph: Record<string, string[]>) =>
    (await orchestrator.client.submitWorkflow({ spec: specOf(graph) })).id;
  const replay = (workflowId: string) =>
    collect(orchestrator.client.streamWorkflowEvents({ workflowId, replay: true }));
  const get = (workflowId: string) => orchestrator.client.getWorkflow({ workflowId });

  /** Events as short words, such as `a:RUNNING` for a step and `RUNNING` for the workflow. */
  const words = (events: readonly WorkflowEvent[]) =>
    events.map((told) => {
      const state = stateNames.get(stateIn(told)!);
      return told.event.case === 'stepUpdate' ? `${told.event.value.stepId}:${state}` : state;
    });
  const ids = (events: readonly WorkflowEvent[]) => events.map(({ eventId }) => Number(eventId));
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

  it('tells its whole story in events, and hands the outputs of a step to the next', async () => {
    runner.work = (job) => (job.stepId === 'a' ? made : nothing);
    const submitted = await orchestrator.client.submitWorkflow({
      spec: { name: 'n', steps: [step('a', { contigs: '100', n: [1, null, { deep: true }] }), step('b', {}, ['a'])] },
    });
    assert.equal(submitted.state, JobState.QUEUED);
    assert.deepEqual(
      submitted.stepStatuses.map(({ stepId, state }) => [stepId, state]),
      [
        ['a', JobState.QUEUED],
        ['b', JobState.QUEUED],
      ],
    );
    const events = await replay(submitted.id);
    assert.deepEqual(words(events), [
      'QUEUED',
      'RUNNING',
      'a:RUNNING',
      'a:SUCCEEDED',
      'b:RUNNING',
      'b:SUCCEEDED',
      'SUCCEEDED',
    ]);
    assert.deepEqual(ids(events), upTo(7));
    assert.ok(events.every(({ workflowId, at }) => workflowId === submitted.id && at !== undefined));

    assert.deepEqual(
      runner.jobs.map(({ requestId, attempt, params, inputs }) => ({ requestId, attempt, params, inputs })),
      [
        {
          requestId: `${submitted.id}/a#1`,
          attempt: 1,
          params: { contigs: '100', n: [1, null, { deep: true }] },
          inputs: {},
        },
        {
          requestId: `${submitted.id}/b#1`,
          attempt: 1,
          params: {},
          inputs: { a: { artifacts: [artifact], sequences: [sequence] } },
        },
      ],
    );

    const done = await get(submitted.id);
    assert.equal(done.state, JobState.SUCCEEDED);
    const [a] = done.stepStatuses;
    assert.equal(a?.fraction, 1);
    assert.equal(a?.outputs[0]?.uri, artifact.uri);
    assert.equal(a?.outputs[0]?.sizeBytes, 12n);
    assert.deepEqual(a?.outputs[0]?.metrics, { plddt: 91.5 });
    assert.equal(a?.sequences[0]?.fasta, sequence.fasta);
    assert.equal(a?.sequences[0]?.sampleIndex, 3);
    assert.ok(a?.startedAt && a.finishedAt);
    assert.deepEqual(events.at(-1)?.event.value, done, 'the last event holds the workflow as it ended');
  });

  it('runs independent steps at the same time', async () => {
    const begun: string[] = [];
    const both = Promise.withResolvers<void>();
    runner.work = async ({ stepId }) => {
      if (begun.push(stepId) === 2) both.resolve();
      await within('the other step', both.promise);
      return nothing;
    };
    await replay(await submit({ a: [], b: [] }));
    assert.deepEqual(begun.sort(), ['a', 'b']);
  });

  it('fails after independent branches have ended, and leaves dependents queued', async () => {
    runner.work = async ({ stepId }) => {
      if (stepId === 'a') return failure('OOM');
      return nothing;
    };
    const id = await submit({ a: [], afterA: ['a'], b: [], afterB: ['b'] });
    const events = await replay(id);
    assert.equal(words(events).at(-1), 'FAILED');
    assert.deepEqual(ids(events), upTo(events.length));
    const { state, stepStatuses } = await get(id);
    assert.equal(state, JobState.FAILED);
    assert.deepEqual(
      stepStatuses.map(({ state }) => state),
      [JobState.FAILED, JobState.QUEUED, JobState.SUCCEEDED, JobState.SUCCEEDED],
    );
    assert.equal(stepStatuses[0]?.error?.code, 'OOM');
    assert.equal(stepStatuses[0]?.error?.message, 'OOM!');
  });

  it('retries what has failed, keeps what has succeeded, and goes on with the dependents', async () => {
    runner.work = ({ stepId, attempt }) => {
      if (stepId === 'b' && attempt === 1) return failure('OOM');
      return stepId === 'a' ? made : nothing;
    };
    const id = await submit({ a: [], b: ['a'], c: ['b'] });
    const before = await replay(id);
    const retried = await orchestrator.client.retryWorkflow({ workflowId: id });
    assert.equal(retried.state, JobState.QUEUED);
    assert.deepEqual(
      retried.stepStatuses.map(({ state, error }) => [state, error]),
      [
        [JobState.SUCCEEDED, undefined],
        [JobState.QUEUED, undefined],
        [JobState.QUEUED, undefined],
      ],
    );
    const all = await replay(id);
    assert.deepEqual(all.slice(0, before.length), before, 'a replay goes on past the first end');
    assert.deepEqual(words(all.slice(before.length)), [
      'QUEUED',
      'b:QUEUED',
      'RUNNING',
      'b:RUNNING',
      'b:SUCCEEDED',
      'c:RUNNING',
      'c:SUCCEEDED',
      'SUCCEEDED',
    ]);
    assert.deepEqual(ids(all), upTo(all.length));
    assert.deepEqual(
      runner.jobs.map(({ stepId, attempt }) => `${stepId}#${attempt}`),
      ['a#1', 'b#1', 'b#2', 'c#1'],
    );
    assert.equal((await get(id)).stepStatuses[0]?.outputs.length, 1);
  });

  it('can be retried only when it has failed', async () => {
    const id = await submit({ a: [] });
    await replay(id);
    const error = await refusal(orchestrator.client.retryWorkflow({ workflowId: id }));
    assert.equal(error.code, Code.FailedPrecondition);
    assert.match(error.rawMessage, /succeeded/);
  });

  it('is cancelled: the runner is told, and nothing runs afterwards', async () => {
    const begun = Promise.withResolvers<void>();
    const told = Promise.withResolvers<number>();
    runner.work = async (_job, _progress, signal) => {
      begun.resolve();
      return await untilAborted(signal).finally(() => told.resolve(performance.now()));
    };
    const id = await submit({ a: [], b: ['a'], c: [] });
    await within('the first step', begun.promise);
    const askedMs = performance.now();
    const cancelled = await orchestrator.client.cancelWorkflow({ workflowId: id });
    assert.equal(cancelled.state, JobState.CANCELLED);
    assert.ok(cancelled.stepStatuses.every(({ state, finishedAt }) => state === JobState.CANCELLED && finishedAt));
    const toldMs = await within('the signal of the runner', told.promise);
    assert.ok(toldMs - askedMs < 1_000, `the runner learned of it after ${toldMs - askedMs} ms`);

    const events = await replay(id);
    assert.deepEqual(words(events).slice(-4), ['a:CANCELLED', 'b:CANCELLED', 'c:CANCELLED', 'CANCELLED']);
    const again = await orchestrator.client.cancelWorkflow({ workflowId: id });
    assert.deepEqual(again, await get(id), 'a finished workflow is answered as it is');
    assert.deepEqual(await replay(id), events);
    assert.ok(runner.jobs.every(({ stepId }) => stepId !== 'b'));
  });

  it('shows progress that rises, at most four times a second', async () => {
    runner.work = async (_job, onProgress) => {
      for (const fraction of [0.1, 0.5, 0.3, Number.NaN, 0.6, 7]) onProgress(fraction);
      await eventually('progress', async () => (await get(id)).stepStatuses[0]!.fraction === 1);
      return nothing;
    };
    const id = await submit({ a: [] });
    const running = (await replay(id)).flatMap(({ event }) =>
      event.case === 'stepUpdate' && event.value.state === JobState.RUNNING ? [event.value.fraction] : [],
    );
    assert.deepEqual(running, [0, 0.1, 1].map(Math.fround));
  });

  it('survives a runner that breaks, and says so', async () => {
    runner.work = () => {
      throw new Error('secret detail');
    };
    const id = await submit({ a: [] });
    await replay(id);
    const { state, stepStatuses } = await get(id);
    assert.equal(state, JobState.FAILED);
    assert.equal(stepStatuses[0]?.error?.code, 'RUNNER_BROKEN');
    assert.equal(stepStatuses[0]?.error?.retryable, true);
    assert.doesNotMatch(stepStatuses[0]?.error?.message ?? '', /secret/);
    assert.ok(runner.jobs.length > 1, 'it was tried more than once');
  });

  it('stores what Postgres and JSON cannot hold as a fault, and drops numbers that are none', async () => {
    runner.work = ({ stepId }) => {
      const metrics = { good: 1, bad: Number.NaN };
      if (stepId === 'nan') return { output: { artifacts: [{ ...artifact, metrics }], sequences: [] } };
      return { output: { artifacts: [], sequences: [{ ...sequence, fasta: 'M\u0000K' }] } };
    };
    const id = await submit({ nan: [], nul: [] });
    await replay(id);
    const [nan, nul] = (await get(id)).stepStatuses;
    assert.deepEqual(nan?.outputs[0]?.metrics, { good: 1 });
    assert.equal(nul?.state, JobState.FAILED);
    assert.equal(nul?.error?.code, 'INTERNAL');
  });

  it('is invisible to other principals, in every call', async () => {
    const { client } = orchestrator;
    const { id } = await client.submitWorkflow({ spec: specOf({ a: [] }) }, as('alice'));
    const missing = await refusal(client.getWorkflow({ workflowId: 'nowhere' }, as('bob')));
    assert.equal(missing.code, Code.NotFound);
    const calls = {
      get: () => client.getWorkflow({ workflowId: id }, as('bob')),
      cancel: () => client.cancelWorkflow({ workflowId: id }, as('bob')),
      retry: () => client.retryWorkflow({ workflowId: id }, as('bob')),
      rank: () => client.rankDesigns({ workflowId: id, metric: 'plddt' }, as('bob')),
      stream: () => collect(client.streamWorkflowEvents({ workflowId: id }, as('bob'))),
    };
    for (const [name, call] of Object.entries(calls)) {
      const error = await refusal(call());
      assert.deepEqual([error.code, error.rawMessage], [missing.code, 'workflow not found'], name);
    }
    assert.equal((await client.getWorkflow({ workflowId: id }, as('alice'))).id, id);
    assert.equal((await client.getWorkflow({ workflowId: id })).id, id, 'the static token sees it');
    const unowned = await submit({ a: [] });
    assert.equal((await refusal(client.getWorkflow({ workflowId: unowned }, as('alice')))).code, Code.NotFound);
  });

  it('ranks the designs that its steps made', async () => {
    runner.work = () => made;
    const id = await submit({ a: [], b: [] });
    await replay(id);
    const byPlddt = await orchestrator.client.rankDesigns({ workflowId: id, metric: 'plddt', topK: 1 });
    assert.deepEqual([byPlddt.totalConsidered, byPlddt.totalRanked, byPlddt.designs.length], [4, 2, 1]);
    const [best] = byPlddt.designs;
    assert.deepEqual([best?.rank, best?.score, best?.id, best?.kind], [1, 91.5, 'ab', 'artifact']);
    const byScore = await orchestrator.client.rankDesigns({
      workflowId: id,
      metric: 'global_score',
      filters: [{ metric: 'seq_recovery', min: 0.5 }],
    });
    assert.deepEqual(
      byScore.designs.map(({ id, kind, sourceStep, rank }) => [id, kind, sourceStep, rank]),
      [
        ['seq:3', 'sequence', 'a', 1],
        ['seq:3', 'sequence', 'b', 2],
      ],
    );
    const unnamed = await refusal(orchestrator.client.rankDesigns({ workflowId: id }));
    assert.equal(unnamed.code, Code.InvalidArgument);
  });
});

function step(id: string, params: Record<string, never> | object, dependsOn: string[] = []) {
  return { id, tool: 'rfdiffusion', dependsOn, params: params as Record<string, never> };
}
