import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { QUESTIONS } from '../../bench/growth/questions.ts';
import { openSubject, type Subject } from '../../bench/growth/subject.ts';
import { fillDatabase } from '../../scripts/fill/fill.ts';
import { type Database, openDatabase, type Queryable } from '../../src/orchestrator/store/database.ts';
import { deleteOldEvents, findOldEvents } from '../../src/orchestrator/store/old-events.ts';
import { deleteOldWorkflows, findOldWorkflows } from '../../src/orchestrator/store/old-workflows.ts';
import { findReleasedArtifacts } from '../../src/orchestrator/store/released-artifacts.ts';
import { createScriptedRunner, startTestOrchestrator } from '../orchestrator/harness.ts';
import { indexesIn, type PlanNode, plansOf, recordStatements, type Statement, scansIn } from '../support/plans.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const WORKFLOWS = 20_000;
const DAY_MS = 24 * 3600 * 1000;
/** The tables that grow with what was ever submitted, or with what waits. */
const GROWING = new Set([
  'workflows',
  'workflow_labels',
  'steps',
  'events',
  'idempotency_keys',
  'artifacts_to_delete',
  'workflow_status',
]);
/** Rows that one statement may look at: a page, its steps, and what tells the rarest of a few selectors. */
const MAX_ROWS = 1_500;

describe('on tables that have grown', () => {
  let postgres: TestPostgres;
  let database: Database;
  let subject: Subject;
  /** The same database, which is listened to. */
  let heard: Database;
  const statements: Statement[] = [];

  before(async () => {
    postgres = await startTestPostgres();
    const databaseUrl = await postgres.createMigratedDatabase();
    await (await startTestOrchestrator(databaseUrl, createScriptedRunner())).close();
    database = await openDatabase(databaseUrl, () => {});
    await fillDatabase(databaseUrl, { workflows: WORKFLOWS, events: 5 * WORKFLOWS });
    await addBacklog(database.pool);
    heard = recordStatements(database, statements);
    subject = await openSubject(databaseUrl, (opened) => recordStatements(opened, statements));
  });
  after(async () => {
    await subject?.close();
    await database?.close();
    await postgres?.close();
  });

  /** What the program asks of the database in `work`, with the plan of each statement. */
  async function planned(work: (heard: Database) => Promise<unknown>): Promise<[Statement, PlanNode][]> {
    statements.length = 0;
    await work(heard);
    assert.ok(statements.length > 0, 'nothing was asked of the database');
    const asked = [...statements];
    const plans: [Statement, PlanNode][] = [];
    for (const statement of asked) {
      for (const plan of await plansOf(database, statement)) plans.push([statement, plan]);
    }
    return plans;
  }

  function assertIndexed(plans: readonly (readonly [Statement, PlanNode])[]): void {
    const scans = plans.flatMap(([{ text }, plan]) => scansIn(plan).map((scan) => ({ ...scan, text })));
    const grown = scans.filter(({ relation }) => GROWING.has(relation));
    assert.ok(grown.length > 0, 'no table was read or written');
    for (const { relation, kind, text } of grown) assert.notEqual(kind, 'Seq Scan', `of ${relation} in ${text}`);
    for (const [{ text }, plan] of plans) {
      const rows = scansIn(plan).reduce((sum, scan) => sum + scan.rows, 0);
      assert.ok(rows <= MAX_ROWS, `${rows} rows in ${text}: ${JSON.stringify(scansIn(plan))}`);
    }
  }

  const used = new Set<string>();
  for (const { label, ask } of QUESTIONS) {
    it(`reads along indexes: ${label}`, async () => {
      const plans = await planned(() => ask(subject));
      assertIndexed(plans);
      for (const [, plan] of plans) for (const index of indexesIn(plan)) used.add(index);
    });
  }

  it('has a use for each index that was made for lists', () => {
    const names = [
      'workflows_newest',
      'workflows_newest_in_state',
      'workflows_newest_of_owner',
      'workflows_newest_of_owner_in_state',
      'workflow_labels_of_owner',
    ];
    assert.deepEqual(
      names.filter((name) => !used.has(name)),
      [],
    );
  });

  it('reads along indexes: looking for old events, and deleting them', async () => {
    assertIndexed(await planned(({ pool }) => findOldEvents(pool, 300 * DAY_MS, 100)));
    assertIndexed(await planned(({ pool }) => deleteOldEvents(pool, subject.anyId(), 0, 500)));
  });

  it('reads along indexes: looking for old workflows, deleting them, and for what they leave behind', async () => {
    const bounds = { limit: 100, maxEvents: 100 };
    assertIndexed(await planned(({ pool }) => findOldWorkflows(pool, 300 * DAY_MS, bounds)));
    const { workflowIds } = await findOldWorkflows(database.pool, 300 * DAY_MS, bounds);
    assert.ok(workflowIds.length > 50, String(workflowIds.length));
    const [first, second] = [workflowIds.slice(0, 20), workflowIds.slice(20, 40)];
    assert.equal((await deleteOldWorkflows(database.pool, first, 300 * DAY_MS, 100)).count, 20);
    await database.pool.query('analyze artifacts_to_delete');
    assertIndexed(await planned(({ pool }) => deleteOldWorkflows(pool, second, 300 * DAY_MS, 100)));
    assertIndexed(await planned((heard) => findReleasedArtifacts(heard, 0, 20)));
  });

  it('tells a plan that reads a whole table from the others', async () => {
    const plans = await planned(({ pool }) => pool.query(`select count(*) from workflows where spec = ''`));
    assert.throws(() => assertIndexed(plans), /of workflows in select count/);
  });
});

/** Steps of many owners that wait in the engine's queue, and the idempotency keys of a day. */
async function addBacklog(db: Queryable): Promise<void> {
  await db.query(
    `insert into dbos.workflow_status (workflow_uuid, status, name, queue_name, queue_partition_key, priority)
     select gen_random_uuid() || '/a#1', 'ENQUEUED', 'step', 'steps', 'owner principal-' || n % 100, n
     from generate_series(1, 5000) as n`,
  );
  await db.query(
    `insert into idempotency_keys (scope, key, workflow_id)
     select coalesce(owner, ''), id, id from workflows order by created_at desc limit 5000`,
  );
  await db.query('analyze dbos.workflow_status');
  await db.query('analyze idempotency_keys');
}
