import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { collect, specOf } from '../orchestrator/harness.ts';
import { createPrograms, settingsFor } from '../orchestrator/program.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

describe('the orchestrator as a process', () => {
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;
  const databaseUrls: string[] = [];
  const programs = createPrograms();

  before(async () => {
    [postgres, objectStore] = await Promise.all([startTestPostgres(), startTestObjectStore()]);
    while (databaseUrls.length < 6) databaseUrls.push(await postgres.createDatabase());
  });
  after(async () => {
    await programs.close();
    await objectStore?.close();
    await postgres?.close();
  });

  const newSettings = () => settingsFor(databaseUrls.pop()!, objectStore);

  it('shares the database with another under its own executor id', async () => {
    const settings = newSettings();
    // Both at once, on an empty database: the schema is made once.
    const [first, second] = await Promise.all([
      programs.start(settings),
      programs.start({ ...settings, EXECUTOR_ID: 'other' }),
    ]);
    const { id } = await second.client.submitWorkflow({ spec: specOf({ a: [], b: [] }) });
    const seen = await Promise.all(
      [first, second].map(({ client }) => collect(client.streamWorkflowEvents({ workflowId: id, replay: true }))),
    );
    assert.deepEqual(seen[0], seen[1]);
  });

  it('refuses to start without what it needs, in one line', async () => {
    const good = newSettings();
    const nowhere = 'postgresql://u:hunter2@127.0.0.1:9/ff';
    const newer = databaseUrls.pop()!;
    await makeNewer(newer);
    const cases: [Record<string, string>, number, RegExp][] = [
      [{ ...good, DATABASE_URL: '' }, 78, /DATABASE_URL is not set; .*npm start/],
      [{ ...good, R2_ENDPOINT: '' }, 78, /R2_ENDPOINT is not set/],
      [{ ...good, STEP_RETRIES: 'some' }, 78, /STEP_RETRIES is "some"/],
      [{ ...good, COLOUR: 'red' }, 78, /FOLDFORGE_ORCH__COLOUR is not a setting/],
      [{ ...good, DATABASE_URL: nowhere }, 69, /127\.0\.0\.1:9, database ff: nothing listens there/],
      [{ ...good, DATABASE_URL: good.DATABASE_URL.replace('/test_', '/none_') }, 69, /there is no such database/],
      [{ ...good, DATABASE_URL: newer }, 69, /schema version 99/],
    ];
    const outcomes = await Promise.all(cases.map(([settings]) => programs.finish(settings)));
    for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
      const [, expectedCode, line] = cases[index]!;
      assert.equal(code, expectedCode, stderr);
      const logged = stdout.trim().split('\n').filter(Boolean);
      assert.deepEqual(
        logged.map((text) => JSON.parse(text).msg),
        expectedCode === 78 ? [] : ['settings'],
      );
      assert.match(stderr, line);
      assert.match(stderr, /^foldforge-orchestrator: [^\n]+\n$/);
      assert.doesNotMatch(stderr + stdout, /hunter2/);
    }
  });

  it('does not take a fault of its own for a database that cannot be used', async () => {
    const settings = newSettings();
    const client = new pg.Client({ connectionString: settings.DATABASE_URL });
    await client.connect();
    await client.query('create table workflows (id integer)');
    await client.end();
    const { code, stderr } = await programs.finish(settings);
    assert.equal(code, 70);
    assert.match(stderr, /relation "workflows" already exists\n +at /);
    assert.doesNotMatch(stderr, /cannot use the database/);
  });

  it('lists no keys in an empty database, and leaves it empty', async () => {
    const { DATABASE_URL } = newSettings();
    const { code, stderr } = await programs.finish({ DATABASE_URL }, ['apikey', 'list']);
    assert.equal(code, 1);
    assert.match(stderr, /^foldforge-orchestrator: the database has no API keys yet; apikey create [^\n]+\n$/);
    const client = new pg.Client({ connectionString: DATABASE_URL });
    await client.connect();
    const { rows } = await client.query(`select tablename from pg_tables where schemaname = 'public'`);
    await client.end();
    assert.deepEqual(rows, []);
  });

  it('checks its configuration, and manages keys, from the command line', async () => {
    const settings = newSettings();
    const check = await programs.finish(settings, ['--check-config']);
    assert.deepEqual([check.code, check.stderr], [0, '']);
    const lines = check.stdout.trimEnd().split('\n');
    assert.equal(lines.at(-1), 'foldforge-orchestrator: the configuration is good');
    assert.ok(lines.includes('FOLDFORGE_ORCH__DATABASE_URL=[secret]'));
    const database = { DATABASE_URL: settings.DATABASE_URL };
    const [created, misused] = await Promise.all([
      programs.finish(database, ['apikey', 'create', 'alice', '100', '3600', '--expires', '90d']),
      programs.finish(database, ['apikey', 'invent']),
    ]);
    assert.deepEqual([created.code, created.stderr], [0, '']);
    assert.match(created.stdout, /^ffk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\n$/);
    assert.equal(misused.code, 64);
    assert.match(misused.stderr, /^foldforge-orchestrator: usage: apikey [^\n]+\n$/);
    const listed = await programs.finish(database, ['apikey', 'list']);
    assert.match(listed.stdout, /\talice\tread-write\t100\t3600\t0\t/);
  });
});

async function makeNewer(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('create table schema_versions (version integer primary key, applied_at timestamptz)');
  await client.query('insert into schema_versions values (99, now())');
  await client.end();
}
