import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { holdExecutorLock } from '../../src/orchestrator/store/executor-lock.ts';
import { keepSession } from '../../src/orchestrator/store/session.ts';
import { createLog } from '../../src/shared/log.ts';
import { startCable } from '../orchestrator/cable.ts';
import { createScriptedRunner, eventually, nothing, specOf, startTestOrchestrator } from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { until, within } from '../support/waiting.ts';

const log = createLog('test', 'silent');

describe('connections to the database', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let admin: pg.Client;

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createMigratedDatabase();
    admin = new pg.Client({ connectionString: databaseUrl, application_name: 'test' });
    await admin.connect();
  });
  after(async () => {
    await admin?.end();
    await postgres?.close();
  });

  /** How many sessions with such a name there were, all of which are ended. */
  async function terminate(applicationName: string): Promise<number> {
    const { rowCount } = await admin.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1',
      [applicationName],
    );
    return rowCount!;
  }
  async function sessions(applicationName: string): Promise<number> {
    const { rowCount } = await admin.query('select 1 from pg_stat_activity where application_name like $1', [
      applicationName,
    ]);
    return rowCount!;
  }

  it('may be lost in the middle of anything, again and again', async () => {
    const runner = createScriptedRunner();
    const orchestrator = await startTestOrchestrator(databaseUrl, runner);
    try {
      runner.work = async (_job, onProgress) => {
        onProgress(0.5);
        return nothing;
      };
      let ended = 0;
      const endAll = async () => {
        ended += await terminate('foldforge-orchestrator calls %');
        return ended > 100;
      };
      async function persist<T>(call: () => Promise<T>): Promise<T> {
        return await eventually(
          'an answer',
          async () => {
            try {
              return await call();
            } catch (error) {
              if (error instanceof ConnectError && error.code === Code.Unavailable) return undefined;
              throw error;
            }
          },
          20_000,
        );
      }
      const submitAll = Array.from({ length: 40 }, (_, index) => {
        const request = { spec: specOf({ a: [], b: ['a'] }), idempotencyKey: `k${index}` };
        return persist(() => orchestrator.client.submitWorkflow(request));
      });
      await until('a hundred lost connections', endAll, 20_000);
      for (const { id } of await Promise.all(submitAll)) {
        await persist(async () => {
          const { state } = await orchestrator.client.getWorkflow({ workflowId: id });
          return state === JobState.SUCCEEDED;
        });
      }
    } finally {
      await orchestrator.close();
    }
  });

  it('that hold the lock of an executor keep out another', async () => {
    const parts = { databaseUrl, executorId: 'alone', log, onTaken: () => {} };
    const first = await holdExecutorLock({ ...parts, waitMs: 0 });
    await assert.rejects(holdExecutorLock({ ...parts, waitMs: 0 }), {
      name: 'StartupError',
      message: /another orchestrator .*"alone".*EXECUTOR_ID/,
      exitCode: 69,
    });
    const waiting = holdExecutorLock({ ...parts, waitMs: 5_000 });
    await first.close();
    await (await within('the lock of a predecessor that has ended', waiting)).close();
  });

  it('that were lost unnoticed by the server give their lock to the session that follows', async () => {
    const cable = await startCable(databaseUrl);
    let taken = 0;
    const onTaken = () => {
      taken += 1;
    };
    const session = await holdExecutorLock({ databaseUrl: cable.url, executorId: 'e', waitMs: 2_000, onTaken, log });
    try {
      const name = 'foldforge-orchestrator executor lock';
      assert.equal(await sessions(name), 1);
      cable.lose();
      await until('the end of the session', () => !session.isConnected());
      assert.equal(await sessions(name), 1, 'the server still has it');
      await until('another session', () => session.isConnected());
      await until('the end of the old session', async () => (await sessions(name)) === 1);
      assert.equal(taken, 0);

      await terminate(name);
      const rival = await holdExecutorLock({ databaseUrl, executorId: 'e', waitMs: 2_000, onTaken, log });
      await until('the news that another has the lock', () => taken === 1);
      await rival.close();
    } finally {
      await session.close();
      await cable.close();
    }
  });

  it('are closed, also one that was just being opened again', async () => {
    const opening = Promise.withResolvers<void>();
    const prepared = Promise.withResolvers<void>();
    const name = 'foldforge-orchestrator probe';
    let opened = 0;
    const session = await keepSession({
      databaseUrl,
      purpose: 'probe',
      log,
      async prepare() {
        opened += 1;
        if (opened === 1) return;
        opening.resolve();
        await prepared.promise;
      },
    });
    assert.equal(await terminate(name), 1);
    await within('the second connection', opening.promise);
    const closed = session.close();
    prepared.resolve();
    await within('the close', closed);
    await until('the end of all sessions', async () => (await sessions(name)) === 0);
    assert.equal(session.isConnected(), false);
    assert.equal(opened, 2);
  });
});
