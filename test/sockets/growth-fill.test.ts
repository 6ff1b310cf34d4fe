import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { toBinary } from '@bufbuild/protobuf';
import { type Filled, fillDatabase } from '../../scripts/fill/fill.ts';
import { WorkflowEventSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import { migrate } from '../../src/orchestrator/store/migrate.ts';
import { findWorkflow, isTerminal, type State } from '../../src/orchestrator/store/workflows.ts';
import { decodeEvent, snapshotOf } from '../../src/orchestrator/wire.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const runNode = promisify(execFile);
const WORKFLOWS = 2_500;

describe('a filled database', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let database: Database;
  let filled: Filled;
  const progress: number[] = [];

  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createMigratedDatabase();
    database = await openDatabase(databaseUrl, () => {});
    await migrate(database);
    const onProgress = ({ workflows }: Filled) => progress.push(workflows);
    filled = await fillDatabase(databaseUrl, { workflows: WORKFLOWS, events: 10 * WORKFLOWS, onProgress });
  });
  after(async () => {
    await database?.close();
    await postgres?.close();
  });

  const count = async (sql: string) =>
    Number((await database.pool.query<{ n: bigint }>(`select (${sql}) as n`)).rows[0]!.n);

  it('has as many rows as were asked for', async () => {
    assert.equal(filled.workflows, WORKFLOWS);
    for (const [table, rows] of Object.entries(filled)) {
      assert.equal(await count(`select count(*) from ${table}`), rows, table);
    }
    assert.ok(Math.abs(filled.events / (10 * WORKFLOWS) - 1) < 0.1, String(filled.events));
    assert.deepEqual(
      progress.toSorted((a, b) => a - b),
      [...new Set(progress)].sort((a, b) => a - b),
    );
    assert.equal(progress.length, 3);
  });

  it('has stories as the program tells them', async () => {
    const { rows } = await database.pool.query<{ id: string; state: State; bodies: Uint8Array[]; ids: bigint[] }>(
      `select w.id, w.state, array_agg(e.body order by e.event_id) as bodies
       from workflows w join events e on e.workflow_id = w.id group by w.id order by md5(w.id) limit 200`,
    );
    for (const { id, state, bodies } of rows) {
      const workflow = (await findWorkflow(database.pool, id, undefined))!;
      const events = bodies.map(decodeEvent);
      assert.deepEqual(
        events.map(({ eventId, workflowId }) => [workflowId, eventId]),
        bodies.map((_, index) => [id, BigInt(index + 1)]),
      );
      assert.equal(workflow.lastEventId, BigInt(bodies.length));
      if (isTerminal(state)) {
        const asStored = decodeEvent(toBinary(WorkflowEventSchema, snapshotOf(workflow)));
        assert.deepEqual(events.at(-1)!.event, asStored.event);
      }
    }
  });

  it('is as uneven as life', async () => {
    const share = async (where: string) => (await count(`select count(*) from workflows where ${where}`)) / WORKFLOWS;
    const between = (value: number, least: number, most: number) =>
      assert.ok(value >= least && value <= most, String(value));
    between(await share(`state in ('QUEUED', 'RUNNING')`), 0.02, 0.04);
    between(await share(`labels @> '{"project":"tenth"}'`), 0.08, 0.12);
    between(await share(`labels @> '{"site":"main"}'`), 1, 1);
    assert.equal(await count(`select count(*) from workflows where labels @> '{"campaign":"rare"}'`), 10);
    between(await share(`owner = 'principal-0'`), 0.07, 0.13);
    between(await count('select count(distinct owner) from workflows'), 300, 1000);
    assert.equal(
      await count(
        'select count(*) from workflows w where not exists (select from workflow_labels where workflow_id = w.id)',
      ),
      0,
    );
  });

  it('is made from the command line, too', async () => {
    const fill = (...args: string[]) =>
      runNode(process.execPath, ['scripts/fill-database.ts', ...args], { timeout: 20_000 });
    const { stdout } = await fill('--url', databaseUrl, '--workflows', '30', '--events', '200');
    assert.match(stdout, /^30 workflows, \d+ steps, \d+ events; \d+ rows\/s$/m);
    assert.equal(await count('select count(*) from workflows'), WORKFLOWS + 30);
    await assert.rejects(fill('--url', databaseUrl, '--workflows', 'many'), {
      code: 64,
      stderr: /--workflows is "many"/,
    });
    await assert.rejects(fill('--workflows', '1'), { code: 64, stderr: /there is no --url/ });
    const empty = await postgres.createDatabase();
    await assert.rejects(fill('--url', empty), { code: 64, stderr: /the database has no tables yet/ });
  });
});
