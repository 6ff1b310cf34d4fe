import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { forgetRuns } from '../../src/orchestrator/engine/finished-runs.ts';
import { startWorkflowRetention, tidyWorkflows } from '../../src/orchestrator/engine/workflow-retention.ts';
import type { StepOutcome } from '../../src/orchestrator/runners/runner.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import {
  deleteOldWorkflows,
  findOldWorkflows,
  type OldWorkflowsPage,
} from '../../src/orchestrator/store/old-workflows.ts';
import { findReleasedArtifacts, forgetArtifacts } from '../../src/orchestrator/store/released-artifacts.ts';
import { createLog } from '../../src/shared/log.ts';
import { startCable } from '../orchestrator/cable.ts';
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
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { within } from '../support/waiting.ts';

const DAY_MS = 24 * 3600 * 1000;
const TABLES = ['workflows', 'workflow_labels', 'steps', 'events'];
const silent = createLog('test', 'silent');

describe('the retention of workflows', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let database: Database;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const runner = createScriptedRunner();

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createMigratedDatabase();
    orchestrator = await startTestOrchestrator(databaseUrl, runner);
    database = await openDatabase(databaseUrl, () => {});
  });
  after(async () => {
    await orchestrator?.close();
    await database?.close();
    await postgres?.close();
  });
  beforeEach(() => {
    runner.work = () => nothing;
  });

  const stream = (workflowId: string, fromEventId = 0n) =>
    orchestrator.client.streamWorkflowEvents({ workflowId, fromEventId, replay: true });
  const submit = async (graph: Record<string, string[]> = { a: [], b: ['a'] }) =>
    (await orchestrator.client.submitWorkflow({ spec: specOf(graph, { labels: { team: 'x', run: '1' } }) })).id;

  async function finished(graph?: Record<string, string[]>): Promise<string> {
    const id = await submit(graph);
    await collect(stream(id));
    return id;
  }

  /** Makes workflows look as if their story had taken place `days` earlier. */
  async function age(days: number, ...ids: string[]): Promise<void> {
    const { rowCount } = await database.pool.query(
      `update workflows set created_at = created_at - $2 * interval '1 day', updated_at = updated_at - $2 * interval '1 day'
       where id = any($1)`,
      [ids, days],
    );
    assert.equal(rowCount, ids.length);
  }

  async function countIn(table: string, ...ids: string[]): Promise<number> {
    const column = table === 'workflows' ? 'id' : 'workflow_id';
    const { rows } = await database.pool.query<{ count: number }>(
      `select count(*)::integer as count from ${table} where ${column} = any($1)`,
      [ids],
    );
    return rows[0]!.count;
  }

  const stays = async (id: string) => (await countIn('workflows', id)) === 1;
  async function assertGone(...ids: string[]): Promise<void> {
    for (const table of TABLES) assert.equal(await countIn(table, ...ids), 0, table);
  }

  const counted = { eventsDeleted: (_: number) => {}, workflowsDeleted: (_: number) => {} };
  const tidy = (days: number, { pool } = database, metrics = counted) =>
    tidyWorkflows({ database: { pool }, forgetRuns, metrics }, days * DAY_MS, new AbortController().signal);

  const artifact = (uri: string) => ({
    uri,
    contentType: 'chemical/x-pdb',
    sizeBytes: uri.length,
    sha256: 'f'.repeat(64),
    metrics: {},
  });
  const making = (...uris: string[]): StepOutcome => ({ output: { artifacts: uris.map(artifact), sequences: [] } });
  const released = async (ageMs = 0) => (await findReleasedArtifacts(database, ageMs, 100)).map(({ uri }) => uri);

  it('begins with the end of a workflow, and leaves nothing of it', async () => {
    const [old, recent] = [await finished(), await finished()];
    runner.work = () => failure('OOM');
    const failed = await finished();
    const release = Promise.withResolvers<void>();
    runner.work = async () => {
      await release.promise;
      return nothing;
    };
    const running = await submit();
    await eventually('a runs', async () => (await countIn('events', running)) === 3);
    const cancelled = await submit();
    await orchestrator.client.cancelWorkflow({ workflowId: cancelled });
    await age(1.1, old, failed, cancelled);
    await age(0.9, recent);
    await age(1000, running);
    const kept = await Promise.all(TABLES.map((table) => countIn(table, recent, running)));
    assert.equal(await tidy(1), 3);
    await assertGone(old, failed, cancelled);
    assert.deepEqual(await Promise.all(TABLES.map((table) => countIn(table, recent, running))), kept);
    assert.equal(await tidy(1), 0, 'nothing is left to do');
    release.resolve();
    await collect(stream(running));
    assert.equal(await tidy(1), 0, 'the end is what counts, however early it was submitted');
    assert.ok(await stays(running));
    await age(1.1, running);
    assert.equal(await tidy(1), 1);
  });

  it('makes it unknown to everybody, also to who followed it', async () => {
    const id = await finished();
    const { client } = orchestrator;
    await age(2, id);
    await tidy(1);
    const calls = [
      client.getWorkflow({ workflowId: id }),
      collect(stream(id)),
      collect(stream(id, 3n)),
      client.cancelWorkflow({ workflowId: id }),
      client.retryWorkflow({ workflowId: id }),
    ];
    for (const { code } of await Promise.all(calls.map(refusal))) assert.equal(code, Code.NotFound);
    const { workflows } = await client.listWorkflows({ labelSelector: { team: 'x', run: '1' } });
    assert.ok(workflows.every((workflow) => workflow.id !== id));
  });

  it('has the engine forget its runs, those of earlier attempts, too, and no others', async () => {
    runner.work = ({ attempt }) => (attempt === 1 ? failure('OOM') : nothing);
    const [id, other] = [await finished(), await finished()];
    for (const workflowId of [id, other]) {
      await orchestrator.client.retryWorkflow({ workflowId });
      await collect(stream(workflowId));
    }
    const entries = async (workflowId: string) => {
      const count = async (table: string) => {
        const { rows } = await database.pool.query(
          `select workflow_uuid as id from dbos.${table} where starts_with(workflow_uuid, $1)`,
          [`${workflowId}/`],
        );
        return rows.length;
      };
      return [await count('workflow_status'), await count('operation_outputs')];
    };
    const ended = async (workflowId: string) => {
      const { rows } = await database.pool.query<{ open: number }>(
        `select count(*)::integer as open from dbos.workflow_status
         where starts_with(workflow_uuid, $1) and status <> 'SUCCESS'`,
        [`${workflowId}/`],
      );
      return rows[0]!.open === 0;
    };
    for (const workflowId of [id, other]) await eventually('the runs are over', () => ended(workflowId));
    const before = await entries(other);
    assert.ok(
      before.every((count) => count >= 3),
      String(before),
    );
    await age(2, id);
    await tidy(1);
    assert.deepEqual(await entries(id), [0, 0]);
    assert.deepEqual(await entries(other), before);
  });

  it('leaves one alone whose submission may still be repeated', async () => {
    const call = { spec: specOf({ a: [] }), idempotencyKey: 'once' };
    const { id } = await orchestrator.client.submitWorkflow(call, as('alice'));
    await collect(stream(id));
    await age(2, id);
    assert.equal(await tidy(1), 0);
    assert.equal((await orchestrator.client.submitWorkflow(call, as('alice'))).id, id);
    await database.pool.query('delete from idempotency_keys where workflow_id = $1', [id]);
    assert.equal(await tidy(1), 1);
    assert.notEqual((await orchestrator.client.submitWorkflow(call, as('alice'))).id, id);
  });

  it('leaves the ledger as it is', async () => {
    await orchestrator.client.grantCredits({ principal: 'carl', amount: 50n, reason: 'gift', idempotencyKey: 'gift' });
    const id = await finished();
    await database.pool.query(
      `insert into ledger (principal, delta, reason, balance_after, idempotency_key)
       values ('carl', -20, 'debit:wf:' || $1, 30, 'debit:wf:' || $1 || '#1')`,
      [id],
    );
    await age(2, id);
    await tidy(1);
    const { entries } = await orchestrator.client.listLedger({ principal: 'carl' }, as('carl'));
    assert.deepEqual(
      entries.map(({ reason }) => reason),
      [`debit:wf:${id}`, 'gift'],
    );
  });

  it('deletes a long history first, a batch at a time', async () => {
    const id = await finished();
    await database.pool.query(
      `insert into events select workflow_id, more, body from events, generate_series(8, 1700) as more
       where workflow_id = $1 and event_id = 7`,
      [id],
    );
    await database.pool.query('update workflows set last_event_id = 1700 where id = $1', [id]);
    await age(2, id);
    assert.equal(
      (await deleteOldWorkflows(database.pool, [id], DAY_MS, 100)).count,
      0,
      'it is too long for one statement',
    );
    assert.ok(await stays(id));
    const batches: number[] = [];
    const metrics = { ...counted, eventsDeleted: (count: number) => batches.push(count) };
    assert.equal(await tidy(1, database, metrics), 1);
    assert.deepEqual(batches, [500, 500, 500, 199]);
    await assertGone(id);
    const parts = { database, forgetRuns, metrics };
    await assert.rejects(tidyWorkflows(parts, DAY_MS, AbortSignal.abort(new Error('stopped'))), /stopped/);
  });

  it('looks at every workflow, page by page', async () => {
    const ids = [];
    while (ids.length < 6) ids.push(await finished({ a: [] }));
    const old = ids.filter((_, index) => index % 3 !== 1);
    await age(2, ...old);
    await database.pool.query(`update workflows set created_at = now() - interval '3 days' where id = any($1)`, [ids]);
    for (const limit of [1, 2, 3, 1000]) {
      const found: string[] = [];
      let page: OldWorkflowsPage | undefined;
      do {
        page = await findOldWorkflows(database.pool, DAY_MS, { limit, maxEvents: 100 }, page?.last);
        assert.deepEqual(page.longIds, []);
        found.push(...page.workflowIds);
      } while (page.last);
      assert.deepEqual(found.sort(), old.toSorted(), `pages of ${limit}, all submitted at the same moment`);
    }
    const all = await findOldWorkflows(database.pool, DAY_MS, { limit: 1000, maxEvents: 4 });
    assert.deepEqual(all.longIds, all.workflowIds);
    assert.equal(await tidy(1), old.length);
  });

  it('may be looked after by several processes at once, each of which counts its own', async () => {
    runner.work = ({ workflowId }) => making('r2://b/same', `r2://b/${workflowId}`);
    const ids: string[] = [];
    while (ids.length < 50) ids.push(...(await Promise.all(Array.from({ length: 10 }, () => finished({ a: [] })))));
    await age(2, ...ids);
    const other = await openDatabase(databaseUrl, () => {});
    try {
      const counts = await Promise.all([tidy(1), tidy(1, other), tidy(1), tidy(1, other)]);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        ids.length,
      );
      await assertGone(...ids);
      assert.deepEqual(await released(), ['r2://b/same', ...ids.map((id) => `r2://b/${id}`)].sort());
    } finally {
      await other.close();
    }
    await forgetArtifacts(database.pool, await findReleasedArtifacts(database, 0, 100));
  });

  it('never waits for a workflow that somebody changes, and leaves it alone', async () => {
    runner.work = () => failure('OOM');
    const [locked, other] = [await finished(), await finished()];
    await age(2, locked, other);
    await database.transaction(async (connection) => {
      await connection.query('select from workflows where id = $1 for update', [locked]);
      const { count } = await within('no wait', deleteOldWorkflows(database.pool, [locked, other], DAY_MS, 100));
      assert.equal(count, 1);
    });
    runner.work = () => nothing;
    await orchestrator.client.retryWorkflow({ workflowId: locked });
    assert.equal(await tidy(1), 0, 'it is open again, or has only just ended');
    await collect(stream(locked));
    assert.equal(await tidy(1), 0);
    assert.ok(await stays(locked));
    assert.equal((await deleteOldWorkflows(database.pool, [locked], DAY_MS, 100)).count, 0);
  });

  it('lists artifacts for deletion once no workflow refers to them', async () => {
    const made: StepOutcome[] = [making('r2://b/1', 'r2://b/shared'), making('r2://b/2', 'r2://b/shared'), nothing];
    const ids: string[] = [];
    for (const outcome of made) {
      runner.work = ({ stepId }) => (stepId === 'a' ? outcome : nothing);
      ids.push(await finished());
    }
    const [first, second, third] = ids as [string, string, string];
    assert.deepEqual(await released(), []);
    await age(2, first, third);
    await tidy(1);
    assert.deepEqual(await released(), ['r2://b/1']);
    assert.deepEqual(await released(60_000), [], 'not for long');
    await age(2, second);
    await tidy(1);
    const [one, ...others] = await findReleasedArtifacts(database, 0, 100);
    assert.deepEqual(
      [one!.uri, one!.bytes, ...others.map(({ uri }) => uri)],
      ['r2://b/1', 8n, 'r2://b/2', 'r2://b/shared'],
    );
    assert.ok(Math.abs(Number(one!.releasedUs) / 1000 - Date.now()) < 60_000);
    // The same content is made once more: it is neither listed, nor forgotten when that workflow goes, too.
    runner.work = () => making('r2://b/shared');
    const again = await finished();
    assert.deepEqual(await released(), ['r2://b/1', 'r2://b/2']);
    await age(2, again);
    await tidy(1);
    await forgetArtifacts(database.pool, [one!, ...others]);
    assert.deepEqual(await released(), ['r2://b/shared'], 'what was released again since is not forgotten');
  });

  it('tells of what fails, and tries it again', async () => {
    const first = await finished();
    const lines: string[] = [];
    const log = createLog('test', 'info', { write: (line: string) => lines.push(JSON.parse(line).msg) });
    const cable = await startCable(databaseUrl);
    const away = await openDatabase(cable.url, () => {});
    const days = 10_000 / DAY_MS;
    await age(2, first);
    const retention = startWorkflowRetention({ database: away, days, forgetRuns, metrics: counted, log });
    try {
      await eventually('the first pass', () => lines.includes('deleted old workflows'));
      await assertGone(first);
      await cable.cut();
      const second = await finished();
      await age(2, second);
      await eventually('a failure', () => lines.includes('deleting old workflows failed'));
      await cable.mend();
      await eventually('another try', async () => !(await stays(second)));
    } finally {
      await within('the end', retention.close());
      await away.close();
      await cable.close();
    }
  });

  it('is for ever by default, and otherwise kept by the orchestrator from its start on', async () => {
    const id = await finished();
    await age(5_000, id);
    const idle = startWorkflowRetention({ database, days: 0, forgetRuns, metrics: counted, log: silent });
    const restart = async (settings: Record<string, string>) => {
      await orchestrator.close();
      orchestrator = await startTestOrchestrator(databaseUrl, runner, settings);
    };
    const deleted = async () => {
      const response = await fetch(`http://127.0.0.1:${orchestrator.metricsPort}/metrics`);
      return Number(/^foldforge_workflows_deleted_total (\d+)$/m.exec(await response.text())?.[1]);
    };
    await restart({});
    await finished();
    assert.ok(await stays(id));
    assert.equal(await deleted(), 0);
    await restart({ RETAIN_DAYS: '5000.5' });
    await finished();
    assert.ok(await stays(id));
    await restart({ RETAIN_DAYS: '0.00001' });
    await eventually('the deletion of what is old', async () => !(await stays(id)));
    const later = await submit();
    await eventually('the deletion of what has become old', async () => !(await stays(later)));
    assert.ok((await deleted()) >= 2);
    await idle.close();
  });
});
