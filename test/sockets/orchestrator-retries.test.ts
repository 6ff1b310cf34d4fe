import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { JobState, JobStateSchema } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { StepFault, StepOutcome } from '../../src/orchestrator/runners/runner.ts';
import {
  as,
  collect,
  createScriptedRunner,
  eventually,
  nothing,
  specOf,
  startTestOrchestrator,
  stateIn,
  untilAborted,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const PRICE = 5n;

const fault = (retryable: boolean): StepOutcome => ({ fault: { code: 'OOM', message: 'no memory left', retryable } });

describe('a step that fails', () => {
  let postgres: TestPostgres;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    runner.findFault = ({ inputTools }) => (inputTools.length === 2 ? 'follows two' : undefined);
    postgres = await startTestPostgres();
    orchestrator = await startTestOrchestrator(await postgres.createMigratedDatabase(), runner, {
      STEP_RETRIES: '2',
      STEP_RETRY_DELAY_SECONDS: '0.05',
      BILLING_ENABLED: 'true',
      PRICE_PER_STEP: String(PRICE),
    });
  });
  beforeEach(() => {
    runner.jobs.length = 0;
    runner.work = () => nothing;
  });
  after(async () => {
    await orchestrator?.close();
    await postgres?.close();
  });

  const submit = (graph: Parameters<typeof specOf>[0]) => orchestrator.client.submitWorkflow({ spec: specOf(graph) });

  async function statesOf(workflowId: string): Promise<string[]> {
    const events = await collect(orchestrator.client.streamWorkflowEvents({ workflowId, replay: true }));
    assert.deepEqual(
      events.map(({ eventId }) => eventId),
      events.map((_, index) => BigInt(index + 1)),
    );
    return events.map(
      (event) =>
        `${event.event.case === 'stepUpdate' ? 'step' : 'workflow'} ${JobStateSchema.value[stateIn(event)!]!.localName}`,
    );
  }

  it('is tried again by itself as another attempt, and what depends on it then runs', async () => {
    runner.work = ({ stepId, attempt }) => (stepId === 'a' && attempt < 3 ? fault(true) : nothing);
    const { id } = await submit({ a: [], b: ['a'] });
    assert.deepEqual(await statesOf(id), [
      'workflow QUEUED',
      'workflow RUNNING',
      'step RUNNING',
      'step QUEUED',
      'step RUNNING',
      'step QUEUED',
      'step RUNNING',
      'step SUCCEEDED',
      'step RUNNING',
      'step SUCCEEDED',
      'workflow SUCCEEDED',
    ]);
    const ids = runner.jobs.map(({ requestId }) => requestId);
    assert.deepEqual(ids, [`${id}/a#1`, `${id}/a#2`, `${id}/a#3`, `${id}/b#1`]);
  });

  it('fails for good after the last retry; whoever retries the workflow has them all again', async () => {
    runner.work = () => fault(true);
    const { id } = await submit({ a: [] });
    await statesOf(id);
    assert.equal(runner.jobs.length, 3);
    const failed = await orchestrator.client.getWorkflow({ workflowId: id });
    assert.equal(failed.state, JobState.FAILED);
    assert.equal(failed.stepStatuses[0]!.error?.code, 'OOM');
    await orchestrator.client.retryWorkflow({ workflowId: id });
    await eventually('six attempts', () => runner.jobs.length === 6);
    assert.equal(runner.jobs.at(-1)!.attempt, 6);
  });

  it('is not tried again after a fault that does not pass', async () => {
    runner.work = () => fault(false);
    const { id } = await submit({ a: [] });
    await statesOf(id);
    assert.equal(runner.jobs.length, 1);
  });

  it('costs nothing more, and is refunded once when all is lost', async () => {
    const { client } = orchestrator;
    await client.grantCredits({ principal: 'rich', amount: 100n, reason: 'grant:admin', idempotencyKey: 'g' });
    runner.work = () => fault(true);
    const { id } = await client.submitWorkflow({ spec: specOf({ a: [] }) }, as('rich'));
    await statesOf(id);
    const { entries } = await client.listLedger({ principal: 'rich', limit: 10 });
    assert.deepEqual(
      entries.map(({ delta, reason }) => [delta, reason]),
      [
        [PRICE, `refund:wf:${id}`],
        [-PRICE, `debit:wf:${id}`],
        [100n, 'grant:admin'],
      ],
    );
  });

  it('is stopped while it waits for its next attempt when the workflow is cancelled', async () => {
    runner.work = ({ attempt }) => (attempt === 1 ? fault(true) : nothing);
    const { id } = await submit({ a: [] });
    await eventually('the first attempt', () => runner.jobs.length > 0);
    await orchestrator.client.cancelWorkflow({ workflowId: id });
    const states = await statesOf(id);
    assert.equal(states.at(-1), 'workflow CANCELLED');
    assert.ok(!states.includes('step SUCCEEDED'), String(states));
  });

  it('ends at its timeout, and is not tried again', async () => {
    const faults: StepFault[] = [];
    runner.work = (_job, _onProgress, signal) => untilAborted(signal);
    const spec = create(WorkflowSpecSchema, {
      name: 'slow',
      steps: [{ id: 'a', tool: 'af2', resources: { timeoutSeconds: 1, gpuType: 'A100', gpuCount: 2 } }],
    });
    const { id } = await orchestrator.client.submitWorkflow({ spec });
    await statesOf(id);
    const { stepStatuses } = await orchestrator.client.getWorkflow({ workflowId: id });
    const { code, message, retryable } = stepStatuses[0]!.error!;
    faults.push({ code, message, retryable });
    assert.deepEqual(faults, [
      { code: 'TIMEOUT', message: 'the step took longer than its timeout of 1 s', retryable: false },
    ]);
    assert.equal(runner.jobs.length, 1);
    assert.deepEqual(runner.jobs[0]!.resources, {
      gpuType: 'A100',
      gpuCount: 2,
      cpuCores: 0,
      memoryMb: 0,
      timeoutSeconds: 1,
    });
  });

  it('is part of the trace of the call that submitted it', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    for (const header of [traceparent, 'nonsense']) {
      const { id } = await orchestrator.client.submitWorkflow(
        { spec: specOf({ a: [] }) },
        { headers: { traceparent: header } },
      );
      await statesOf(id);
    }
    assert.deepEqual(
      runner.jobs.map((job) => job.traceparent),
      [traceparent, undefined],
    );
  });

  it('is refused at its submission when the tool finds a fault in it', async () => {
    await assert.rejects(submit({ a: [], b: ['a'], c: ['a', 'b'] }), /step "c" \(rfdiffusion\): follows two$/);
    assert.deepEqual(runner.jobs, []);
  });
});
