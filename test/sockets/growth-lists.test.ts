import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { KNOWN_LABELS as labels, principalAt } from '../../scripts/fill/distributions.ts';
import { fillDatabase } from '../../scripts/fill/fill.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import { migrate } from '../../src/orchestrator/store/migrate.ts';
import { MIGRATIONS } from '../../src/orchestrator/store/migrations.ts';
import { listWorkflows } from '../../src/orchestrator/store/workflow-list.ts';
import type { State } from '../../src/orchestrator/store/workflows.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const WORKFLOWS = 900;
const MAX_SPEC_BYTES = 8 * 1024 * 1024;

interface Row {
  readonly id: string;
  readonly owner: string | null;
  readonly state: State;
  readonly labels: Readonly<Record<string, string>>;
}

type Selection = Pick<Parameters<typeof listWorkflows>[1], 'principal' | 'state' | 'labels'>;

describe('a list of many workflows', () => {
  let postgres: TestPostgres;
  let database: Database;

  before(async () => {
    postgres = await startTestPostgres();
    const databaseUrl = await postgres.createMigratedDatabase();
    database = await openDatabase(databaseUrl, () => {});
    await migrate(database);
    await fillDatabase(databaseUrl, { workflows: WORKFLOWS, events: 5 * WORKFLOWS });
    // Several at the same moment, so that the order is settled by their ids.
    await database.pool.query(`update workflows set created_at = date_trunc('month', created_at)`);
  });
  after(async () => {
    await database?.close();
    await postgres?.close();
  });

  async function readAll(): Promise<Row[]> {
    const sql = 'select id, owner, state, labels from workflows order by created_at desc, id desc';
    return (await database.pool.query<Row>(sql)).rows;
  }

  async function pagesOf(selection: Selection, limit: number): Promise<string[]> {
    const ids: string[] = [];
    let after: { readonly createdUs: bigint; readonly id: string } | undefined;
    for (;;) {
      const query = { ...selection, after, limit, maxSpecBytes: MAX_SPEC_BYTES };
      const { workflows, more } = await listWorkflows(database.pool, query);
      ids.push(...workflows.map(({ id }) => id));
      after = workflows.at(-1);
      assert.ok(workflows.length === limit || !more);
      if (!more) return ids;
    }
  }

  function fits({ principal, state, labels }: Selection, row: Row): boolean {
    const has = Object.entries(labels).every(([key, value]) => row.labels[key] === value);
    return has && (principal === undefined || row.owner === principal) && (state === undefined || row.state === state);
  }

  const LABELS: readonly Selection['labels'][] = [
    {},
    labels.rare,
    labels.tenth,
    labels.all,
    { ...labels.oldestTenth, ...labels.all },
    { ...labels.tenth, ...labels.all, ...labels.rare },
    { site: 'elsewhere' },
    { ...labels.all, site: 'elsewhere' },
  ];
  const STATES: readonly Selection['state'][] = [undefined, 'QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'];

  for (const principal of [undefined, principalAt(0), principalAt(40), 'nobody']) {
    it(`is the same whichever index it is read along: ${principal ?? 'everybody'}`, async () => {
      const rows = await readAll();
      let found = 0;
      for (const state of STATES) {
        for (const selected of LABELS) {
          const selection = { principal, state, labels: selected };
          const expected = rows.filter((row) => fits(selection, row)).map(({ id }) => id);
          found += expected.length;
          assert.deepEqual(await pagesOf(selection, 70), expected, JSON.stringify(selection));
        }
      }
      assert.equal(found > 0, principal !== 'nobody');
    });
  }

  it('knows the labels that a workflow has now', async () => {
    const [{ id } = { id: '' }] = await readAll();
    const find = async (selected: Selection['labels'], principal?: string) =>
      await pagesOf({ principal, state: undefined, labels: selected }, 10);
    const odd = { '1:a': 'b', '': '', 'long "': 'x'.repeat(20_000) };
    await database.pool.query(`update workflows set labels = $2, owner = 'eve' where id = $1`, [
      id,
      JSON.stringify(odd),
    ]);
    for (const [key, value] of Object.entries(odd)) assert.deepEqual(await find({ [key]: value }, 'eve'), [id]);
    assert.deepEqual(await find({ '1': 'ab' }), []);
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`key ${index}`, 'x']));
    await database.pool.query('update workflows set labels = labels || $2 where id = $1', [id, JSON.stringify(many)]);
    assert.deepEqual(await find({ ...odd, ...many }), [id]);
    assert.deepEqual(await find({ ...many, 'key 7': 'y' }), []);
    assert.ok(!(await find(labels.all)).includes(id));
    await database.pool.query('delete from workflows where id = $1', [id]);
    const { rows } = await database.pool.query('select from workflow_labels where workflow_id = $1', [id]);
    assert.equal(rows.length, 0);
  });

  it('has the labels of workflows that were there before the table of labels', async () => {
    const older = await openDatabase(await postgres.createDatabase(), () => {});
    try {
      const first = MIGRATIONS.findIndex((step) => 'sql' in step && /create table workflow_labels/.test(step.sql));
      await migrate(older, undefined, MIGRATIONS.slice(0, first));
      const insert = `insert into workflows (id, spec, labels, state) values ($1, '', $2, 'QUEUED')`;
      await older.pool.query(insert, ['before', labels.all]);
      await migrate(older, undefined, MIGRATIONS.slice(0, first + 1));
      await older.pool.query(insert, ['between', labels.all]);
      await migrate(older);
      await older.pool.query(insert, ['after', labels.all]);
      const selection = { principal: undefined, state: undefined, labels: labels.all };
      const page = { after: undefined, limit: 10, maxSpecBytes: MAX_SPEC_BYTES };
      const { workflows } = await listWorkflows(older.pool, { ...selection, ...page });
      assert.deepEqual(
        workflows.map(({ id }) => id),
        ['after', 'between', 'before'],
      );
    } finally {
      await older.close();
    }
  });
});
