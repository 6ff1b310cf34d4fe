import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Client } from 'pg';
import { type ExternalPostgres, startExternalPostgres } from '../support/external-postgres.ts';
import { within } from '../support/waiting.ts';

describe('an external Postgres', () => {
  let postgres: ExternalPostgres;
  let url: string;
  const clients = new Set<Client>();

  before(async () => {
    postgres = await startExternalPostgres();
    url = await postgres.createDatabase();
  });
  after(async () => {
    for (const client of clients) await client.end();
    await postgres?.close();
  });

  async function connect(to = url): Promise<Client> {
    const client = new Client({ connectionString: to });
    client.on('error', () => {});
    await client.connect();
    clients.add(client);
    return client;
  }

  it('says which one it is, and listens on TCP with a password', async (t) => {
    t.diagnostic(`Postgres ${postgres.version}, ${postgres.kind}`);
    const client = await connect();
    const { rows } = await client.query(`
      select current_setting('server_version') as version, inet_server_addr()::text as address,
        current_setting('max_connections') as connections, current_database() as database`);
    assert.equal(rows[0].version.split(' ')[0], postgres.version);
    assert.deepEqual([rows[0].address, rows[0].connections], ['127.0.0.1/32', '200']);
    assert.notEqual(rows[0].database, 'postgres');
    const wrong = new URL(url);
    wrong.password = 'wrong';
    await assert.rejects(connect(wrong.href), { code: '28P01' });
  });

  it('keeps what was committed when all of it is killed, also again and again', async () => {
    const client = await connect();
    await client.query('create table kept (round integer)');
    for (const round of [1, 2]) {
      const [idle, busy] = await Promise.all([connect(), connect()]);
      const lost = Promise.all([idle, busy].map((one) => new Promise((resolve) => one.once('end', resolve))));
      const sleeping = busy.query('select pg_sleep(60)');
      const rejected = assert.rejects(sleeping);
      await idle.query('insert into kept values ($1)', [round]);
      await postgres.kill();
      await within('both sessions to be lost', Promise.all([lost, rejected]));
      await assert.rejects(connect(), { code: 'ECONNREFUSED' });
      await postgres.start();
      const { rows } = await (await connect()).query('select round from kept order by round');
      assert.deepEqual(
        rows.map((row) => row.round),
        [1, 2].slice(0, round),
      );
    }
  });

  it('can be stopped and started, and says so when it is not running', async () => {
    await postgres.stop();
    await assert.rejects(postgres.kill(), /does not run/);
    await assert.rejects(connect(), { code: 'ECONNREFUSED' });
    await postgres.start();
    await assert.rejects(postgres.start(), /runs already/);
    await (await connect()).query('select 1');
  });
});
