import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { WorkflowSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { runApikeyCommand } from '../../src/orchestrator/accounts/apikey-command.ts';
import { startIdempotencyRetention, tidyIdempotencyKeys } from '../../src/orchestrator/engine/idempotency-retention.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import { MIGRATIONS } from '../../src/orchestrator/store/migrations.ts';
import { encodeSpec } from '../../src/orchestrator/wire.ts';
import { createLog } from '../../src/shared/log.ts';
import {
  as,
  createScriptedRunner,
  eventually,
  refusal,
  specOf,
  startTestOrchestrator,
} from '../orchestrator/harness.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const HOUR_MS = 3600 * 1000;

describe('idempotency keys', () => {
  let postgres: TestPostgres;
  let database: Database;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  const refusals: { exitCode: number; message: string }[] = [];

  before(async () => {
    postgres = await startTestPostgres();
    const databaseUrl = await postgres.createDatabase();
    await makeSchema1(databaseUrl);
    for (const args of [['list'], ['create', 'otto'], ['revoke', 'none']]) {
      await runApikeyCommand(args, { databaseUrl, print: () => {} }).catch((error) => refusals.push(error));
    }
    orchestrator = await startTestOrchestrator(databaseUrl, createScriptedRunner());
    database = await openDatabase(databaseUrl, () => {});
  });
  after(async () => {
    await database?.close();
    await orchestrator?.close();
    await postgres?.close();
  });

  const spec = specOf({ a: [] });
  const accept = (idempotencyKey: string, bodyDigest = '') =>
    orchestrator.client.acceptWorkflow({ spec, idempotencyKey, bodyDigest });
  async function age(key: string, ms: number): Promise<void> {
    const { rowCount } = await database.pool.query(
      `update idempotency_keys set accepted_at = now() - $2::float8 * interval '1 millisecond' where key = $1`,
      [key, ms],
    );
    assert.equal(rowCount, 1);
  }
  const tidy = () => tidyIdempotencyKeys(database, new AbortController().signal);

  it('of an older schema still replay, whatever the body', async () => {
    const { client } = orchestrator;
    for (const [owner, id] of [
      ['otto', 'owned'],
      ['', 'unowned'],
    ] as const) {
      const options = owner ? as(owner) : {};
      const request = { spec, idempotencyKey: 'old', bodyDigest: 'any' };
      const { workflow, replayed } = await client.acceptWorkflow(request, options);
      assert.deepEqual([workflow?.id, replayed], [id, true]);
      const base = await client.submitWorkflow({ spec, idempotencyKey: 'old' }, options);
      assert.deepEqual(toBinary(WorkflowSchema, base), toBinary(WorkflowSchema, workflow!));
    }
    const { rows } = await database.pool.query(
      `select column_name from information_schema.columns where table_name = 'workflows' and column_name like 'idem%'`,
    );
    assert.deepEqual(rows, []);
  });

  it('come with a schema that the command line does not make, under an older orchestrator', () => {
    // To revoke needs nothing that is new.
    const [listing, creation, revocation] = refusals;
    for (const { exitCode, message } of [listing!, creation!]) {
      assert.equal(exitCode, 69);
      assert.match(message, /older schema; the orchestrator of this version brings it up to date/);
    }
    assert.match(revocation!.message, /there is no API key none/);
  });

  it('are not lost with an API key of an older schema', async () => {
    const { allowed, principal, readOnly, expiresAt, quota } = await orchestrator.client.authenticateApiKey({
      keyHash: 'oldhash',
    });
    assert.deepEqual([allowed, principal, readOnly, expiresAt, quota?.used], [true, 'otto', false, undefined, 2n]);
  });

  it('are forgotten after a day, and not before', async () => {
    const old = await accept('old one');
    const young = await accept('young one');
    await age('old one', 24 * HOUR_MS + 60_000);
    await age('young one', 24 * HOUR_MS - 60_000);
    assert.equal((await accept('old one')).replayed, true, 'nobody has tidied yet');
    await age('old one', 24 * HOUR_MS + 60_000);
    assert.equal(await tidy(), 1);
    assert.equal(await tidy(), 0);
    const [newer, same] = [await accept('old one'), await accept('young one')];
    assert.deepEqual([newer.replayed, same.replayed], [false, true]);
    assert.notEqual(newer.workflow?.id, old.workflow?.id);
    assert.equal(same.workflow?.id, young.workflow?.id);
    const { id } = await orchestrator.client.getWorkflow({ workflowId: old.workflow!.id });
    assert.equal(id, old.workflow!.id, 'the workflow stays');
  });

  it('are forgotten in batches, by a process that keeps doing so', async () => {
    const { workflow } = await accept('many');
    await database.pool.query(
      `insert into idempotency_keys (scope, key, workflow_id, accepted_at)
       select 'many', 'key ' || number, $1, now() - interval '25 hours' from generate_series(1, 1200) as number`,
      [workflow!.id],
    );
    const retention = startIdempotencyRetention({ database, log: createLog('test', 'silent') });
    await eventually('none that is old', async () => {
      const { rows } = await database.pool.query(`select from idempotency_keys where scope = 'many' limit 1`);
      return rows.length === 0;
    });
    await retention.close();
    assert.equal((await accept('many')).replayed, true);
    const stopped = AbortSignal.abort(new Error('stopped'));
    await assert.rejects(tidyIdempotencyKeys(database, stopped), /stopped/);
  });

  it('go with their workflow, and have no odd characters', async () => {
    const { workflow } = await accept('gone');
    await eventually('an end', async () => {
      const { rowCount } = await database.pool.query(`delete from workflows where id = $1 and state = 'SUCCEEDED'`, [
        workflow!.id,
      ]);
      return rowCount === 1;
    });
    assert.equal((await accept('gone')).replayed, false);
    assert.equal((await refusal(accept('\0'))).code, Code.InvalidArgument);
    assert.equal((await accept('ключ 🔑')).replayed, false);
    assert.equal((await accept('ключ 🔑')).replayed, true);
  });
});

/** A database as the first version of the schema left it, with one finished workflow of an owner and one of nobody. */
async function makeSchema1(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const [first] = MIGRATIONS;
    assert.ok(first?.kind === 'expand');
    await client.query(first.sql);
    await client.query(
      'create table schema_versions (version integer primary key, applied_at timestamptz default now())',
    );
    await client.query('insert into schema_versions (version) values (1)');
    for (const [id, owner] of [
      ['owned', 'otto'],
      ['unowned', null],
    ]) {
      await client.query(
        `insert into workflows (id, owner, idempotency_key, spec, labels, state)
         values ($1, $2, 'old', $3, '{}', 'SUCCEEDED')`,
        [id, owner, encodeSpec(specOf({ a: [] }))],
      );
      await client.query(
        `insert into steps (workflow_id, step_id, position, tool, depends_on, state)
         values ($1, 'a', 1, 'rfdiffusion', '{}', 'SUCCEEDED')`,
        [id],
      );
    }
    await client.query(
      `insert into api_keys (id, key_hash, principal, quota_limit, window_s, used, window_started_at)
       values ('oldkey', 'oldhash', 'otto', 5, 3600, 2, now())`,
    );
  } finally {
    await client.end();
  }
}
