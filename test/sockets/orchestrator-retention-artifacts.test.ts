import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { runArtifactsCommand } from '../../src/orchestrator/artifacts-command.ts';
import { type ArtifactWriter, createArtifactWriter } from '../../src/orchestrator/runners/artifact-writer.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import { migrate } from '../../src/orchestrator/store/migrate.ts';
import { deleteOldWorkflows } from '../../src/orchestrator/store/old-workflows.ts';
import { StartupError } from '../../src/shared/startup-error.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

describe('the command that deletes artifacts', () => {
  let postgres: TestPostgres;
  let databaseUrl: string;
  let database: Database;
  let store: TestObjectStore;
  let writer: ArtifactWriter;
  let s3: S3Client;
  let made = 0;

  before(async () => {
    postgres = await startTestPostgres();
    store = await startTestObjectStore();
    writer = createArtifactWriter(address());
    const { accessKeyId, secretAccessKey } = store;
    const credentials = { accessKeyId, secretAccessKey };
    s3 = new S3Client({ endpoint: store.url, region: 'auto', credentials, forcePathStyle: true });
  });
  after(async () => {
    s3?.destroy();
    writer?.close();
    await store?.close();
    await postgres?.close();
  });
  beforeEach(async () => {
    databaseUrl = await postgres.createMigratedDatabase();
    database = await openDatabase(databaseUrl, () => {});
    await migrate(database);
  });
  afterEach(() => database.close());

  const address = (bucket = store.bucket) => ({
    endpoint: store.url,
    region: 'auto',
    bucket,
    accessKeyId: store.accessKeyId,
    secretAccessKey: store.secretAccessKey,
    pathStyle: true,
  });

  async function run(args: string, objectStore = address()): Promise<string[]> {
    const lines: string[] = [];
    const print = (line: string) => lines.push(line);
    await runArtifactsCommand(args.split(' '), { databaseUrl, objectStore, print });
    return lines;
  }

  async function refused(args: string, objectStore = address()): Promise<StartupError> {
    const error = await run(args, objectStore).then(
      () => assert.fail('was not refused'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof StartupError, String(error));
    return error;
  }

  async function put(): Promise<string> {
    made += 1;
    return (await writer.putArtifact(new TextEncoder().encode(`file ${made}`), 'text/plain', 'txt', {})).uri;
  }

  async function isStored(uri: string): Promise<boolean> {
    try {
      await s3.send(new HeadObjectCommand({ Bucket: store.bucket, Key: uri.slice(`r2://${store.bucket}/`.length) }));
      return true;
    } catch (error) {
      assert.equal((error as Error).name, 'NotFound');
      return false;
    }
  }

  /** A workflow that is over and has made these. */
  async function record(id: string, ...uris: string[]): Promise<void> {
    const output = { artifacts: uris.map((uri) => ({ uri, sizeBytes: 7 })), sequences: [] };
    await database.pool.query(
      `insert into workflows (id, spec, labels, state, updated_at) values ($1, '', '{}', 'SUCCEEDED', now() - interval '1 day')`,
      [id],
    );
    await database.pool.query(
      `insert into steps (workflow_id, step_id, position, tool, depends_on, state, output)
       values ($1, 'a', 1, 'af2', '{}', 'SUCCEEDED', $2)`,
      [id, JSON.stringify(output)],
    );
  }

  async function remove(...ids: string[]): Promise<void> {
    assert.equal((await deleteOldWorkflows(database.pool, ids, 1_000, 100)).count, ids.length);
  }

  const uris = async (args = 'list --older-than 0m') => (await run(args)).slice(1).map((line) => line.split('\t')[0]);

  it('lists what no workflow refers to, and deletes it only when told', async () => {
    const [mine, shared] = [await put(), await put()];
    await record('one', mine, shared);
    await record('two', shared);
    await remove('one');
    const [headings, line, ...others] = await run('list --older-than 0m');
    assert.equal(headings, 'uri\tbytes\treleased_at');
    assert.match(line!, new RegExp(`^${mine}\t7\t\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z$`));
    assert.deepEqual(others, []);
    const dry = await run('delete --older-than 0m');
    assert.deepEqual(dry, [headings, line, 'would delete 1 objects of 7 bytes; say --yes to do it']);
    assert.ok(await isStored(mine));
    const told = await run('delete --older-than 0m --yes');
    assert.deepEqual(told, ['deleted 1 objects of 7 bytes; 0 were gone already']);
    assert.deepEqual([await isStored(mine), await isStored(shared)], [false, true]);
    assert.deepEqual(await uris(), []);
    await remove('two');
    assert.deepEqual(await uris(), [shared]);
  });

  it('leaves alone what was released, or written again, less than so long ago', async () => {
    const uri = await put();
    await record('one', uri);
    await remove('one');
    assert.deepEqual(await uris('list --older-than 1m'), []);
    assert.deepEqual(await uris('list'), [], 'a week unless told otherwise');
    await database.pool.query(`update artifacts_to_delete set released_at = now() - interval '8 days'`);
    assert.deepEqual(await uris('list'), [uri]);
    const told = await run('delete --yes');
    assert.deepEqual(told, [
      'deleted 0 objects of 0 bytes; 0 were gone already',
      'left 1 that were written again since: they are looked at next time',
    ]);
    assert.ok(await isStored(uri));
    assert.deepEqual(await uris('list'), [uri]);
  });

  it('deletes as many as there are, and none that a workflow has made again', async () => {
    const all: string[] = [];
    while (all.length < 450) all.push(...(await Promise.all(Array.from({ length: 50 }, put))));
    await record('one', ...all);
    await remove('one');
    await record('two', all[7]!);
    assert.deepEqual(await run('delete --older-than 0m --yes'), [
      'deleted 449 objects of 3143 bytes; 0 were gone already',
    ]);
    assert.deepEqual([await isStored(all[7]!), await isStored(all[8]!)], [true, false]);
    await remove('two');
    assert.deepEqual(await uris(), [all[7]]);
  });

  it('may run twice at the same time', async () => {
    const all = await Promise.all(Array.from({ length: 60 }, put));
    await record('one', ...all);
    await remove('one');
    await Promise.all([run('delete --older-than 0m --yes'), run('delete --older-than 0m --yes')]);
    assert.deepEqual(await uris(), []);
    for (const uri of all) assert.equal(await isStored(uri), false);
  });

  it('says what was gone, what is elsewhere and what the store refuses, which stay listed', async () => {
    const [good, gone] = [await put(), `r2://${store.bucket}/artifacts/gone`];
    const elsewhere = 'r2://elsewhere/artifacts/x';
    const tooLong = `r2://${store.bucket}/${'x'.repeat(2_000)}`;
    await record('one', good, gone, elsewhere, tooLong);
    await remove('one');
    const lines: string[] = [];
    const parts = { databaseUrl, objectStore: address(), print: (line: string) => lines.push(line) };
    const failing = runArtifactsCommand(['delete', '--older-than', '0m', '--yes'], parts);
    await assert.rejects(failing, { exitCode: 1, message: '1 objects could not be deleted; they stay listed' });
    assert.ok(lines.shift()?.startsWith(`${tooLong} could not be deleted: `));
    assert.deepEqual(lines, [
      'deleted 1 objects of 7 bytes; 1 were gone already',
      `left 1 in other buckets than ${store.bucket}`,
    ]);
    assert.deepEqual(await uris(), [elsewhere, tooLong]);
  });

  it('does nothing with another bucket or store than those that it knows, or without a database', async () => {
    const uri = await put();
    await record('one', uri);
    await remove('one');
    const args = 'delete --older-than 0m --yes';
    const noBucket = await refused(args, address('no-such-bucket'));
    assert.equal(noBucket.exitCode, 69);
    assert.match(noBucket.message, /^cannot use the bucket no-such-bucket at http:/);
    const noStore = await refused(args, { ...address(), endpoint: 'http://127.0.0.1:9' });
    assert.match(noStore.message, /^cannot use the bucket test-bucket at http:\/\/127\.0\.0\.1:9: /);
    const noEndpoint = await refused(args, { ...address(), endpoint: '' });
    assert.equal(noEndpoint.exitCode, 78);
    assert.match(noEndpoint.message, /R2_ENDPOINT is not set/);
    assert.deepEqual(await uris(), [uri]);
    assert.ok(await isStored(uri));
    assert.equal((await refused('list --yes')).exitCode, 64);
    databaseUrl = await postgres.createDatabase();
    assert.match((await refused('list')).message, /^the database has no list of artifacts/);
  });
});
