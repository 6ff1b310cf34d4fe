import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  collect,
  createScriptedRunner,
  eventually,
  nothing,
  specOf,
  startTestOrchestrator,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

describe('entries of the queue that the engine has given up', () => {
  let postgres: TestPostgres;
  let database: pg.Client;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    postgres = await startTestPostgres();
    const databaseUrl = await postgres.createMigratedDatabase();
    database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    orchestrator = await startTestOrchestrator(databaseUrl, runner, { CONCURRENCY: '1' });
  });
  after(async () => {
    await orchestrator?.close();
    await database?.end();
    await postgres?.close();
  });

  it('fail their steps before they ever ran, also behind an entry that names none', async () => {
    const { client } = orchestrator;
    const release = Promise.withResolvers<void>();
    runner.work = async () => {
      await release.promise;
      return nothing;
    };
    await client.submitWorkflow({ spec: specOf({ first: [] }) });
    await eventually('the only place is taken', () => runner.jobs.length === 1);
    const foreign = await client.submitWorkflow({ spec: specOf({ a: [] }) });
    const { id } = await client.submitWorkflow({ spec: specOf({ a: [], b: [] }) });
    await database.query(
      `update dbos.workflow_status set workflow_uuid = 'by-hand', status = 'ERROR', created_at = 1
       where workflow_uuid = $1`,
      [`${foreign.id}/a#1`],
    );
    await database.query(`update dbos.workflow_status set status = 'ERROR' where workflow_uuid = $1`, [`${id}/a#1`]);
    const failed = await eventually('the failure of the step', async () => {
      const workflow = await client.getWorkflow({ workflowId: id });
      return workflow.stepStatuses[0]?.state === JobState.FAILED && workflow;
    });
    assert.equal(failed.state, JobState.QUEUED, 'nothing has run yet');
    release.resolve();
    const events = await collect(client.streamWorkflowEvents({ workflowId: id, replay: true }));
    const states = events.flatMap(({ event }) => (event.case === 'workflowUpdate' ? [event.value.state] : []));
    assert.deepEqual(states, [JobState.QUEUED, JobState.RUNNING, JobState.FAILED]);
  });
});
