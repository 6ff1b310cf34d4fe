import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import { holdExecutorLock } from '../../src/orchestrator/store/executor-lock.ts';
import { migrate } from '../../src/orchestrator/store/migrate.ts';
import { MIGRATIONS, type Migration } from '../../src/orchestrator/store/migrations.ts';
import { createLog } from '../../src/shared/log.ts';
import { collect, stateIn } from '../orchestrator/harness.ts';
import { createReplicas, fanOut, faultsIn, mockSpec, type Replica, untilOver } from '../orchestrator/replicas.ts';
import { type ExternalPostgres, startExternalPostgres } from '../support/external-postgres.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { until, within } from '../support/waiting.ts';

/** What a version after this one may do while replicas of this one are alive. */
const NEWER: readonly Migration[] = [
  {
    kind: 'expand',
    sql: `
      alter table workflows add column newer_note text, add column newer_count integer not null default 7;
      alter table steps add column newer_note text, add column newer_count bigint not null default 7;
      alter table events add column newer_note text;
      alter table api_keys add column newer_note text;
      alter table idempotency_keys add column newer_note text;
      alter table balances add column newer_note text;
      alter table ledger add column newer_note text;
      alter table executors add column newer_note text;
      create table newer_things (id text primary key, workflow_id text references workflows (id) on delete cascade);`,
  },
  { kind: 'index', name: 'steps_newer', on: 'steps (tool, newer_count)' },
];

describe('the schema', { concurrency: true }, () => {
  let postgres: ExternalPostgres;
  let objectStore: TestObjectStore;
  let replicas: ReturnType<typeof createReplicas>;
  const opened: Database[] = [];

  before(async () => {
    [postgres, objectStore] = await Promise.all([startExternalPostgres(), startTestObjectStore()]);
    replicas = createReplicas(objectStore);
  });
  after(async () => {
    await replicas?.close();
    await Promise.all(opened.map((database) => database.close()));
    await objectStore?.close();
    await postgres?.close();
  });

  async function open(url: string): Promise<Database> {
    const database = await openDatabase(url, () => {});
    opened.push(database);
    return database;
  }
  async function openNew(): Promise<Database> {
    return await open(await postgres.createDatabase());
  }
  /** The only value of the only row. */
  async function read<T>({ pool }: Database, sql: string): Promise<T> {
    const { rows } = await pool.query(sql);
    return Object.values(rows[0])[0] as T;
  }
  const versions = (database: Database) =>
    read<number[]>(database, `select coalesce(array_agg(version order by version), '{}') from schema_versions`);
  const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

  it('is made once, however many start at the same time on an empty database', async () => {
    const url = await postgres.createDatabase();
    const all = await Promise.all(upTo(4).map(() => replicas.start(url)));
    const database = await open(url);
    assert.deepEqual(await versions(database), upTo(MIGRATIONS.length));
    assert.equal(new Set(all.map(({ executorId }) => executorId)).size, 4);
    const { id } = await all[0]!.client.submitWorkflow({ spec: mockSpec({ a: { seconds: 0 } }) });
    for (const { client } of all) assert.equal((await untilOver(client, id)).state, JobState.SUCCEEDED);
  });

  it('can become a newer one under a program that works with it, which only cannot start again', async () => {
    const url = await postgres.createDatabase();
    const start = () => replicas.start(url, { CONCURRENCY: '4' });
    const [one, other] = await Promise.all([start(), start()]);
    // Every statement has been used before, so that a plan which is kept is kept from before.
    await useAll(one, other);
    const database = await open(url);
    const { id } = await one.client.submitWorkflow({ spec: fanOut(30, { seconds: 0.3 }, 'proteinmpnn') });
    const stream = collect(other.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    const isRunning = async () => (await one.client.getWorkflow({ workflowId: id })).state === JobState.RUNNING;
    await until('it is in use', isRunning);
    await migrate(database, createLog('test', 'silent'), [...MIGRATIONS, ...NEWER]);
    assert.ok(await isRunning(), 'it was in use all the time');
    const events = await stream;
    assert.deepEqual(faultsIn(events), []);
    assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
    await useAll(one, other);
    for (const replica of [one, other]) {
      const complaints = replica
        .stdout()
        .split('\n')
        .filter((line) => /"level":"(warn|error|fatal)"/.test(line));
      // The mock's own faults are the only thing that went wrong.
      assert.deepEqual(
        complaints.filter((line) => !/"msg":"a step has failed"/.test(line)),
        [],
      );
      assert.equal(replica.stderr(), '');
    }

    const { code, stdout, stderr } = await replicas.finish(url);
    assert.deepEqual([code, JSON.parse(stdout).msg], [69, 'settings']);
    const [newest, known] = [MIGRATIONS.length + NEWER.length, MIGRATIONS.length];
    assert.match(stderr, new RegExp(`^foldforge-orchestrator: .*schema version ${newest}\\b.*\\b${known}\\b.*\n$`));
  });

  /** Every call that reads or writes what a migration may change, and every end that a step can have. */
  async function useAll({ client }: Replica, { client: other }: Replica): Promise<void> {
    const good = await client.submitWorkflow({
      spec: mockSpec({ a: { seconds: 0 } }),
      idempotencyKey: crypto.randomUUID(),
    });
    assert.equal((await untilOver(other, good.id)).state, JobState.SUCCEEDED);
    assert.equal((await other.rankDesigns({ workflowId: good.id, metric: 'plddt' })).designs.length > 0, true);
    const bad = await client.submitWorkflow({ spec: mockSpec({ a: { seconds: 0, fail_attempts: 1 } }) });
    assert.equal((await untilOver(other, bad.id)).state, JobState.FAILED);
    await other.retryWorkflow({ workflowId: bad.id });
    assert.equal((await untilOver(client, bad.id)).state, JobState.SUCCEEDED);
    const long = await other.submitWorkflow({ spec: mockSpec({ a: { seconds: 600 } }) });
    assert.equal((await client.cancelWorkflow({ workflowId: long.id })).state, JobState.CANCELLED);
    const listed = await other.listWorkflows({ pageSize: 3 });
    assert.deepEqual(new Set(listed.workflows.map(({ id }) => id)), new Set([good.id, bad.id, long.id]));
    await client.grantCredits({ principal: 'alice', amount: 5n, reason: 'test', idempotencyKey: crypto.randomUUID() });
    assert.equal((await other.listLedger({ principal: 'alice' })).entries[0]?.delta, 5n);
    assert.equal((await other.authenticateApiKey({ keyHash: '0'.repeat(64) })).allowed, false);
  }

  it('is changed by one at a time, each change once', async () => {
    const database = await openNew();
    const rivals = await Promise.all(upTo(5).map(() => open(database.pool.options.connectionString!)));
    const changes: Migration[] = upTo(6).map((version) => ({
      kind: 'expand',
      sql: `create table made_${version} (id integer); select pg_sleep(0.02)`,
    }));
    await Promise.all(rivals.map((rival) => migrate(rival, undefined, changes)));
    assert.deepEqual(await versions(database), upTo(6));
  });

  it('keeps all of a change or nothing, and goes on where it was', async () => {
    const database = await openNew();
    const first: Migration = { kind: 'expand', sql: 'create table first (id integer)' };
    const broken: Migration = { kind: 'expand', sql: 'create table second (id integer); select 1 / 0' };
    await assert.rejects(migrate(database, undefined, [first, broken]), /division by zero/);
    assert.deepEqual(await versions(database), [1]);
    assert.equal(await read(database, `select to_regclass('second')`), null);
    const index: Migration = { kind: 'index', name: 'first_id', on: 'first (id)' };
    await migrate(database, undefined, [first, index]);
    // As it is after a crash in the middle of building it.
    await database.pool.query(`update pg_index set indisvalid = false where indexrelid = 'first_id'::regclass`);
    await database.pool.query('delete from schema_versions where version = 2');
    await migrate(database, undefined, [first, index]);
    assert.deepEqual(await versions(database), [1, 2]);
    const isValid = `select indisvalid from pg_index where indexrelid = 'first_id'::regclass`;
    assert.equal(await read(database, isValid), true);
  });

  it('lets others work on while a change waits for somebody who is slow', async () => {
    const database = await openNew();
    const first: Migration = { kind: 'expand', sql: 'create table first (id integer)' };
    await migrate(database, undefined, [first]);
    const slow = await database.pool.connect();
    await slow.query('begin; select * from first');
    const change: Migration = { kind: 'expand', sql: 'alter table first add column name text' };
    const migrating = migrate(database, undefined, [first, change]);
    const isWaiting = `select exists (select from pg_locks where relation = 'first'::regclass and not granted)`;
    await until('the change waits', () => read<boolean>(database, isWaiting));
    await within('a read that comes after it', database.pool.query('select * from first'), 4_000);
    await slow.query('commit');
    slow.release();
    await within('the change', migrating);
    assert.deepEqual(await versions(database), [1, 2]);
  });

  it('loses nothing that an older program uses until the last of them is gone', async () => {
    const database = await openNew();
    await migrate(database);
    const known = MIGRATIONS.length;
    const later: readonly Migration[] = [
      ...MIGRATIONS,
      { kind: 'expand', sql: 'create table replacement (id integer)' },
      { kind: 'contract', sql: 'drop table ledger' },
      { kind: 'expand', sql: 'create table another (id integer)' },
    ];
    const lines: string[] = [];
    const log = createLog('test', 'warn', { write: (line: string) => lines.push(line) });
    const has = (table: string) => read<boolean>(database, `select to_regclass('${table}') is not null`);

    await database.pool.query('insert into executors (id, schema_version) values ($1, $2)', ['older', known]);
    await migrate(database, log, later);
    assert.deepEqual(await versions(database), [...upTo(known + 1), known + 3]);
    assert.deepEqual([await has('ledger'), await has('replacement'), await has('another')], [true, true, true]);
    assert.match(lines.join(''), new RegExp(`"schema_version":${known + 2}\\b.*older version`));

    // One that knows the replacement may be there, and so may a row of one that has been dead for long.
    await database.pool.query(`update executors set beat_at = now() - interval '1 hour' where id = 'older'`);
    await database.pool.query('insert into executors (id, schema_version) values ($1, $2)', ['newer', known + 1]);
    await migrate(database, log, later);
    assert.deepEqual(await versions(database), upTo(known + 3));
    assert.equal(await has('ledger'), false);
  });

  it('loses nothing either that a program uses which is on no list yet', async () => {
    const url = await postgres.createDatabase();
    const database = await open(url);
    const listless = MIGRATIONS.slice(0, 2);
    await migrate(database, createLog('test', 'silent'), listless);
    const log = createLog('test', 'silent');
    const lock = await holdExecutorLock({ databaseUrl: url, executorId: 'older', waitMs: 0, onTaken: () => {}, log });
    const contracts = upTo(MIGRATIONS.length).filter((version) => MIGRATIONS[version - 1]!.kind === 'contract');
    try {
      await migrate(database, log);
      assert.deepEqual(
        await versions(database),
        upTo(MIGRATIONS.length).filter((version) => !contracts.includes(version)),
      );
    } finally {
      await lock.close();
    }
    await migrate(database, log);
    assert.deepEqual(await versions(database), upTo(MIGRATIONS.length));
  });

  it('is only ever added to by what is meant to be added', () => {
    // The first two are older than the rule.
    for (const [index, migration] of MIGRATIONS.slice(2).entries()) {
      if (migration.kind === 'expand') assert.deepEqual(findMore(migration.sql), [], `migration ${index + 3}`);
    }
    for (const more of [
      'alter table a drop column c',
      'alter table a rename column b to c',
      'alter table a alter column b type bigint',
      'alter table a add c text not null',
      'create index a_b on a (b)',
      'drop index a_b',
      'update a set b = 1',
    ]) {
      assert.deepEqual(findMore(`alter table a add b text default 1; ${more}`), [more]);
    }
    const added = `create table a (b text not null); create index a_b on a (b); insert into a select 'drop; it';
      create function f() returns text language sql as $$ delete from a; select 'x' $$;
      alter table c -- The second one.
        add column d integer not null default 1, add column e text`;
    assert.deepEqual(findMore(added), []);
  });
});

/** What of a change does more than add: an older program would notice, or would have to wait. */
function findMore(sql: string): string[] {
  const statements = sql
    .replaceAll(/--.*$/gm, '')
    .replaceAll(/\$\$.*?\$\$|'[^']*'/gs, "''")
    .replaceAll(/\s+/g, ' ')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
  const created = statements.flatMap((statement) => /^create table (\w+)/.exec(statement)?.[1] ?? []);
  return statements.flatMap((statement) => {
    if (/^(create (table|function|trigger)|insert into) /.test(statement)) return [];
    const table = /^(?:create (?:unique )?index \w+ on|alter table) (\w+)/.exec(statement)?.[1] ?? '';
    if (created.includes(table)) return [];
    if (!statement.startsWith('alter table ')) return [statement];
    const clauses = statement.replace(/^alter table \w+ /, '').split(/, (?=add |alter |drop )/);
    const isAddition = (clause: string) =>
      clause.startsWith('add ') && (!/ not null\b/.test(clause) || / default /.test(clause));
    return clauses.every(isAddition) ? [] : [statement];
  });
}
