import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Code, createClient } from '@connectrpc/connect';
import pg from 'pg';
import { AF2Service } from '../../src/gen/foldforge/af2/v1/af2_pb.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../src/gen/grpc/health/v1/health_pb.ts';
import { sweep } from '../../src/orchestrator/engine/step-watch.ts';
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

/** A Unix socket in front of the server's own, which can be cut like a cable. */
async function startCable(databaseUrl: string) {
  const url = new URL(databaseUrl);
  const target = path.join(url.searchParams.get('host')!, '.s.PGSQL.5432');
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-cable-'));
  const sockets = new Set<net.Socket>();
  let server: net.Server;

  async function mend(): Promise<void> {
    server = net.createServer((near) => {
      const far = net.connect(target);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket);
        socket
          .on('error', () => {})
          .on('close', () => {
            sockets.delete(socket);
            other.destroy();
          });
        socket.pipe(other);
      }
    });
    await new Promise<void>((resolve) => server.listen(path.join(folder, '.s.PGSQL.5432'), resolve));
  }
  async function cut(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  }
  async function close(): Promise<void> {
    await cut();
    await rm(folder, { recursive: true });
  }

  await mend();
  url.searchParams.set('host', folder);
  return { url: url.href, cut, mend, close };
}

describe('an orchestrator in operation', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let cable: Awaited<ReturnType<typeof startCable>>;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createDatabase();
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
    runner.work = async ({ stepId }) => {
      assert.match(await metrics(), /^foldforge_steps_in_flight 1$/m);
      return stepId === 'b' ? failure('OOM') : nothing;
    };
    const { id } = await orchestrator.client.submitWorkflow({ spec: specOf({ a: [], b: ['a'] }) });
    await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    runner.work = () => nothing;
    await orchestrator.client.retryWorkflow({ workflowId: id });
    await collect(orchestrator.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    const text = await eventually('the last counts', async () => {
      const now = await metrics();
      return now.includes('foldforge_workflows_total{state="succeeded"} 1') && now;
    });
    assert.match(text, /^foldforge_workflows_total\{state="failed"\} 1$/m);
    assert.match(text, /^foldforge_steps_total\{tool="rfdiffusion",outcome="succeeded"\} 2$/m);
    assert.match(text, /^foldforge_steps_total\{tool="rfdiffusion",outcome="failed"\} 1$/m);
    assert.match(text, /^foldforge_workflow_duration_seconds_count 2$/m);
    assert.match(text, /^foldforge_steps_in_flight 0$/m);
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
    await begun.promise;
    await cable.cut();
    assert.equal((await health()).status, Status.NOT_SERVING);
    const away = await refusal(orchestrator.client.getWorkflow({ workflowId: id }));
    assert.equal(away.code, Code.Unavailable);
    assert.doesNotMatch(away.rawMessage, /ECONN|ENOENT|socket|\//);
    release.resolve();
    // Long enough for the end of the step to meet a database that is away.
    await new Promise((resolve) => setTimeout(resolve, 300));
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
  });
});
