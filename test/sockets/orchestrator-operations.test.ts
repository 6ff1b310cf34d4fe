import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Code, createClient } from '@connectrpc/connect';
import pg from 'pg';
import { AF2Service } from '../../src/gen/foldforge/af2/v1/af2_pb.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../src/gen/grpc/health/v1/health_pb.ts';
import { sweep } from '../../src/orchestrator/engine/step-watch.ts';
import { startCable } from '../orchestrator/cable.ts';
import {
  collect,
  createScriptedRunner,
  eventually,
  failure,
  nothing,
  refusal,
  specOf,
  startTestOrchestrator,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { within } from '../support/waiting.ts';

describe('an orchestrator in operation', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let cable: Awaited<ReturnType<typeof startCable>>;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createMigratedDatabase();
    cable = await startCable(databaseUrl);
    orchestrator = await startTestOrchestrator(cable.url, runner);
  });
  after(async () => {
    await orchestrator?.close();
    await cable?.close();
    await postgres?.close();
  });

  const health = (service = '') => createClient(Health, orchestrator.transport).check({ service });
  async function metrics(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${orchestrator.metricsPort}/metrics`);
    assert.equal(response.status, 200);
    return await response.text();
  }

  /** The value of one sample; 0 before it was ever counted. */
  async function sample(name: string): Promise<number> {
    const line = (await metrics()).split('\n').find((text) => text.startsWith(`${name} `));
    return Number(line?.slice(name.length) ?? 0);
  }

  it('is healthy, as a whole and by name', async () => {
    assert.equal((await health()).status, Status.SERVING);
    assert.equal((await health('foldforge.orchestrator.v1.OrchestratorService')).status, Status.SERVING);
    assert.equal((await refusal(health('other.Service'))).code, Code.NotFound);
  });

  it('answers UNIMPLEMENTED for what it does not know', async () => {
    const stranger = createClient(AF2Service, orchestrator.transport);
    assert.equal((await refusal(stranger.getCapabilities({}))).code, Code.Unimplemented);
  });

  it('counts what dashboards show', async () => {
    const names = [
      'foldforge_workflows_total{state="succeeded"}',
      'foldforge_workflows_total{state="failed"}',
      'foldforge_steps_total{tool="rfdiffusion",outcome="succeeded"}',
      'foldforge_steps_total{tool="rfdiffusion",outcome="failed"}',
      'foldforge_workflow_duration_seconds_count',
      'foldforge_steps_in_flight',
    ];
    const samples = () => Promise.all(names.map(sample));
    const atFirst = await samples();
    runner.work = async ({ stepId }) => {
      assert.equal(await sample('foldforge_steps_in_flight'), 1);
      return stepId === 'b' ? failure('OOM') : nothing;
    };
    const { id } = await orchestrator.client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) });
    await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    runner.work = () => nothing;
    await orchestrator.client.retryWorkflow({ workflowId: id });
    await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    // The end of a workflow is told before it is counted.
    await eventually('the last counts', async () => {
      const counted = (await samples()).map((value, index) => value - atFirst[index]!);
      return isDeepStrictEqual(counted, [1, 1, 2, 1, 2, 0]);
    });
    const other = await fetch(`http://127.0.0.1:${orchestrator.metricsPort}/`);
    assert.equal(other.status, 404);
  });

  it('removes finished entries of the queue, and only those', async () => {
    const database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    try {
      const entries = async () => {
        const { rows } = await database.query<{ status: string; count: string }>(
          'select status, count(*) from dbos.workflow_status group by status',
        );
        return Object.fromEntries(rows.map(({ status, count }) => [status, Number(count)]));
      };
      await eventually('an end to what ran before', async () => {
        await sweep(Date.now() + 1_000);
        return Object.keys(await entries()).length === 0;
      });
      runner.work = () => nothing;
      await orchestrator.client.submitWorkflow({ spec: specOf({ a: [], b: ['a'], c: [] }) });
      await eventually('three finished entries', async () => (await entries()).SUCCESS === 3);
      assert.equal(await sweep(Date.now() - 600_000), 0, 'what has finished just now is kept for a while');
      const release = Promise.withResolvers<void>();
      runner.work = async () => {
        await release.promise;
        return nothing;
      };
      const { id } = await orchestrator.client.submitWorkflow({ spec: specOf({ a: [] }) });
      await eventually('a running entry', async () => (await entries()).PENDING === 1);
      assert.equal(await sweep(Date.now() + 1_000), 3);
      assert.deepEqual(await entries(), { PENDING: 1 });
      release.resolve();
      await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    } finally {
      await database.end();
    }
  });

  it('fails a step that the engine has given up, so that it can be retried', async () => {
    const release = Promise.withResolvers<void>();
    runner.work = async ({ attempt }) => {
      if (attempt === 1) await release.promise;
      return nothing;
    };
    const { id } = await orchestrator.client.submitWorkflow({ spec: specOf({ a: [] }) });
    const database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    try {
      await eventually('the entry', async () => {
        const { rowCount } = await database.query(
          `update dbos.workflow_status set status = 'ERROR' where workflow_uuid = $1 and status = 'PENDING'`,
          [`${id}/a#1`],
        );
        return rowCount === 1;
      });
    } finally {
      await database.end();
    }
    await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    const failed = await orchestrator.client.getWorkflow({ workflowId: id });
    assert.deepEqual(
      [failed.state, failed.stepStatuses[0]?.error?.code, failed.stepStatuses[0]?.error?.retryable],
      [JobState.FAILED, 'INTERNAL', true],
    );
    await orchestrator.client.retryWorkflow({ workflowId: id });
    release.resolve();
    await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    assert.equal((await orchestrator.client.getWorkflow({ workflowId: id })).state, JobState.SUCCEEDED);
  });

  it('says so while the database is away, and goes on where it was when it is back', async () => {
    const begun = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    runner.work = async () => {
      begun.resolve();
      await release.promise;
      return nothing;
    };
    const { id } = await orchestrator.client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) });
    await within('the first step', begun.promise);
    await cable.cut();
    assert.equal((await health()).status, Status.NOT_SERVING);
    const away = await refusal(orchestrator.client.getWorkflow({ workflowId: id }));
    assert.equal(away.code, Code.Unavailable);
    assert.doesNotMatch(away.rawMessage, /ECONN|ENOENT|socket|\//);
    release.resolve();
    // The end of the step is to meet a database that is away.
    await eventually('the end of the step', async () => (await sample('foldforge_steps_in_flight')) === 0);
    assert.equal((await health()).status, Status.NOT_SERVING);
    await cable.mend();
    await eventually('health', async () => (await health()).status === Status.SERVING);
    const done = await eventually('the end', async () => {
      const workflow = await orchestrator.client.getWorkflow({ workflowId: id });
      return workflow.state === JobState.SUCCEEDED && workflow;
    });
    assert.ok(done.stepStatuses.every(({ error }) => error === undefined));
    const events = await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    assert.deepEqual(
      events.map(({ eventId }) => Number(eventId)),
      [1, 2, 3, 4, 5, 6, 7],
    );
    const begunJobs = runner.jobs.filter(({ workflowId }) => workflowId === id).map(({ requestId }) => requestId);
    // A job runs at least once, and its outcome counts once.
    assert.deepEqual([...new Set(begunJobs)], [`${id}/a#1`, `${id}/b#1`]);
  });
});
