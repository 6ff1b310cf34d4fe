import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  as,
  createScriptedRunner,
  eventually,
  refusal,
  specOf,
  startTestOrchestrator,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

describe('a list of workflows', () => {
  let postgres: TestPostgres;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  let database: pg.Client;

  before(async () => {
    postgres = await startTestPostgres();
    const databaseUrl = await postgres.createMigratedDatabase();
    orchestrator = await startTestOrchestrator(databaseUrl, createScriptedRunner());
    database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
  });
  after(async () => {
    await database?.end();
    await orchestrator?.close();
    await postgres?.close();
  });

  const submit = async (owner: string, labels: Record<string, string> = {}) =>
    (await orchestrator.client.submitWorkflow({ spec: specOf({ a: [] }, { labels }) }, as(owner))).id;
  async function pages(owner: string, pageSize: number): Promise<string[][]> {
    const all: string[][] = [];
    let pageToken = '';
    do {
      const answer = await orchestrator.client.listWorkflows({ pageSize, pageToken }, as(owner));
      all.push(answer.workflows.map(({ id }) => id));
      pageToken = answer.nextPageToken;
    } while (pageToken && all.length < 100);
    return all;
  }

  it('shows each workflow once, newest first, also when many share one microsecond', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 12; count++) ids.push(await submit('alice'));
    await database.query(
      `update workflows set created_at = timestamptz '2026-01-02 03:04:05.123457Z' where id = any($1)`,
      [ids.slice(0, 8)],
    );
    await database.query(
      `update workflows set created_at = timestamptz '2026-01-02 03:04:05.123456Z' where id = any($1)`,
      [ids.slice(8)],
    );
    const expected = [...ids.slice(0, 8).sort().reverse(), ...ids.slice(8).sort().reverse()];
    for (const size of [1, 3, 4, 12, 50]) {
      const all = await pages('alice', size);
      assert.deepEqual(all.flat(), expected, `pages of ${size}`);
      assert.equal(all.length, Math.ceil(12 / size), `pages of ${size}`);
    }
    const [newest] = (await orchestrator.client.listWorkflows({ pageSize: 1 }, as('alice'))).workflows;
    assert.equal(newest?.createdAt?.nanos, 123_457_000);
  });

  it('holds 20 workflows unless asked, and 100 at most', async () => {
    const spec = specOf({ a: [] });
    await Promise.all(Array.from({ length: 101 }, () => orchestrator.client.submitWorkflow({ spec }, as('bert'))));
    assert.equal((await orchestrator.client.listWorkflows({}, as('bert'))).workflows.length, 20);
    const { workflows, nextPageToken } = await orchestrator.client.listWorkflows({ pageSize: 5000 }, as('bert'));
    assert.equal(workflows.length, 100);
    assert.notEqual(nextPageToken, '');
  });

  it('shows a principal its own, and the static token all', async () => {
    const mine = await submit('carl');
    const unowned = (await orchestrator.client.submitWorkflow({ spec: specOf({ a: [] }) })).id;
    assert.deepEqual(await pages('carl', 10), [[mine]]);
    assert.deepEqual(await pages('nobody', 10), [[]]);
    const { workflows } = await orchestrator.client.listWorkflows({ pageSize: 2 });
    assert.deepEqual(
      workflows.map(({ id }) => id),
      [unowned, mine],
    );
  });

  it('is filtered by labels, all of which must match, and by state', async () => {
    const { client } = orchestrator;
    const both = await submit('dora', { team: 'x', 'odd "key"\\': "o'dd" });
    const one = await submit('dora', { team: 'x' });
    const list = async (request: Parameters<typeof client.listWorkflows>[0]) =>
      (await client.listWorkflows(request, as('dora'))).workflows.map(({ id }) => id);
    assert.deepEqual(await list({ labelSelector: { team: 'x' } }), [one, both]);
    assert.deepEqual(await list({ labelSelector: { team: 'x', 'odd "key"\\': "o'dd" } }), [both]);
    assert.deepEqual(await list({ labelSelector: { team: 'y' } }), []);
    // Once the engine has nothing to say of it any more.
    const isOver = async () => (await client.getWorkflow({ workflowId: one })).state === JobState.SUCCEEDED;
    await eventually('the end of the workflow', isOver);
    await database.query(`update workflows set state = 'CANCELLED' where id = $1`, [one]);
    assert.deepEqual(await list({ stateFilter: JobState.CANCELLED }), [one]);
    assert.deepEqual(await list({ stateFilter: JobState.UNSPECIFIED }), [one, both]);
    assert.equal((await refusal(client.listWorkflows({ stateFilter: 99 as JobState }))).code, Code.InvalidArgument);
  });

  it('ends a page early when the specs in it are large, and goes on behind it', async () => {
    const ids: string[] = [];
    for (const megabytes of [1, 5, 5, 1, 9, 1, 1]) {
      const steps = [{ id: 'a', tool: 'af2', params: { text: 'x'.repeat(megabytes * 1024 * 1024) } }];
      ids.push((await orchestrator.client.submitWorkflow({ spec: { name: 'large', steps } }, as('emil'))).id);
    }
    const [first, second, third] = await pages('emil', 50);
    assert.deepEqual(
      [first, second, third].map((page) => page?.length),
      [3, 3, 1],
    );
    assert.deepEqual([first, second, third].flat(), ids.toReversed());
    assert.deepEqual(
      (await pages('emil', 2)).map(({ length }) => length),
      [2, 1, 2, 2],
    );
  });

  it('refuses a page token that it did not make', async () => {
    const encoded = (text: string) => Buffer.from(text).toString('base64url');
    for (const pageToken of ['x', '%%%', encoded('1.'), encoded("1';--.x"), encoded('99999999999999999999.a')]) {
      const error = await refusal(orchestrator.client.listWorkflows({ pageToken }));
      assert.equal(error.code, Code.InvalidArgument, pageToken);
      assert.match(error.rawMessage, /page_token/);
    }
  });

  it('refuses specs that cannot run, and values that cannot be stored', async () => {
    const { client } = orchestrator;
    const calls = {
      'no spec': client.submitWorkflow({}),
      'no steps': client.submitWorkflow({ spec: specOf({}) }),
      cycle: client.submitWorkflow({ spec: specOf({ a: ['b'], b: ['a'] }) }),
      'NUL in a label': client.submitWorkflow({ spec: specOf({ a: [] }, { labels: { a: '\u0000' } }) }),
      'long key': client.submitWorkflow({ spec: specOf({ a: [] }), idempotencyKey: 'k'.repeat(256) }),
    };
    for (const [name, error] of Object.entries(await refusals(calls))) {
      assert.equal(error.code, Code.InvalidArgument, name);
      assert.doesNotMatch(error.rawMessage, /insert|select|unicode|22P05/i, name);
    }
  });
});

async function refusals(calls: Readonly<Record<string, Promise<unknown>>>) {
  const entries = Object.entries(calls).map(async ([name, call]) => [name, await refusal(call)] as const);
  return Object.fromEntries(await Promise.all(entries));
}
