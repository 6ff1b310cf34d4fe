import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type CallOptions, Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { as, collect, eventually, type OrchestratorClient, specOf } from '../orchestrator/harness.ts';
import { createPrograms } from '../orchestrator/program.ts';
import { createCanaries, NOWHERE } from '../support/canaries.ts';
import { type LeakyStore, startLeakyStore } from '../support/leaky-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

type RpcName = keyof typeof OrchestratorService.method;
/** `turn` makes each submission and each grant one of its own. */
type Calls = Readonly<
  Record<RpcName, (client: OrchestratorClient, options: CallOptions, turn: string) => Promise<unknown>>
>;

const TABLES = ['workflows', 'steps', 'events', 'api_keys', 'balances', 'ledger'];
/** The calls that always write something, here. */
const WRITING = [
  'submitWorkflow',
  'acceptWorkflow',
  'retryWorkflow',
  'authenticateApiKey',
  'consumeQuota',
  'grantCredits',
] as const satisfies RpcName[];

describe('the orchestrator leaks nothing', () => {
  const canaries = createCanaries();
  const secret = (name: string) => canaries.plant(name, NOWHERE);
  const password = secret('the password of the database');
  const data = canaries.plant('a value of a workflow', { must: ['body'] });
  const idempotencyKey = secret('an idempotency key');
  const principal = canaries.plant('a principal', { must: ['stdout'], may: ['body', 'log'] });
  const programs = createPrograms();
  let postgres: TestPostgres;
  let admin: pg.Client;
  let store: LeakyStore;
  let settings: Record<string, string>;
  let program: Awaited<ReturnType<typeof programs.start>>;
  let keyHash: string;
  let printed = { stdout: 0, stderr: 0 };
  let calls: Calls;
  let turns = 0;

  before(async () => {
    postgres = await startTestPostgres();
    const url = await postgres.createDatabase();
    admin = new pg.Client({ connectionString: url });
    await admin.connect();
    store = await startLeakyStore(canaries, 'a file');
    settings = {
      DATABASE_URL: await makeRole(admin, url, password),
      BIND_ADDR: '127.0.0.1:0',
      METRICS_ADDR: '127.0.0.1:0',
      MOCK_STEP_SECONDS: '0',
      LOG_LEVEL: 'debug',
      BILLING_ENABLED: 'true',
      R2_ENDPOINT: `http://${store.address}`,
      R2_ACCESS_KEY_ID: canaries.plant('the access key of the store', { must: ['store'] }),
      R2_SECRET_ACCESS_KEY: secret('the secret key of the store'),
    };
  });
  after(async () => {
    await programs.close();
    await admin?.end();
    await store?.close();
    await postgres?.close();
  });

  it('when a key is made, but the key itself, once, on standard output', async () => {
    const { DATABASE_URL } = settings as { DATABASE_URL: string };
    const created = await programs.finish({ DATABASE_URL }, ['apikey', 'create', principal, '1000']);
    assert.deepEqual([created.code, created.stderr], [0, '']);
    const rawKey = created.stdout.trim();
    canaries.watch('an API key', rawKey, NOWHERE);
    canaries.watchHash('an API key', rawKey, NOWHERE);
    const { rows } = await admin.query<{ key_hash: string }>('select key_hash from api_keys');
    keyHash = rows[0]!.key_hash;
    const rest = [['list'], ['revoke', rawKey], ['create', `${rawKey} `], ['show', rawKey]];
    await Promise.all(
      rest.map(async (args) => {
        const { stdout, stderr } = await programs.finish({ DATABASE_URL }, ['apikey', ...args]);
        canaries.scan('stdout', stdout);
        canaries.scan('log', stderr);
      }),
    );
    canaries.checkLeaks();
  });

  it('when all is well', async () => {
    program = await programs.start(settings);
    await program.client.grantCredits({ principal, amount: 1_000_000n });
    const failing = await submit({ labels: { project: data } }, { fail: { code: 'OOM' } });
    await collect(program.client.streamWorkflowEvents({ workflowId: failing, replay: true }));
    const done = await submit({ labels: { project: data } });
    await collect(program.client.streamWorkflowEvents({ workflowId: done, replay: true }));
    const spec = specOf({ a: [] }, { name: data, labels: { project: data } });
    calls = {
      submitWorkflow: (client, options, turn) =>
        client.submitWorkflow({ spec, idempotencyKey: `${idempotencyKey}-s-${turn}` }, options),
      acceptWorkflow: (client, options, turn) =>
        client.acceptWorkflow(
          { spec, idempotencyKey: `${idempotencyKey}-a-${turn}`, keyHash, bodyDigest: 'x' },
          options,
        ),
      getWorkflow: (client, options) => client.getWorkflow({ workflowId: done }, options),
      listWorkflows: (client, options) => client.listWorkflows({ labelSelector: { project: data } }, options),
      streamWorkflowEvents: (client, options) =>
        collect(client.streamWorkflowEvents({ workflowId: done, replay: true }, options)),
      cancelWorkflow: (client, options) => client.cancelWorkflow({ workflowId: done }, options),
      retryWorkflow: (client, options) => client.retryWorkflow({ workflowId: failing }, options),
      authenticateApiKey: (client, options) => client.authenticateApiKey({ keyHash }, options),
      consumeQuota: (client, options) => client.consumeQuota({ keyHash }, options),
      getBalance: (client, options) => client.getBalance({ principal }, options),
      listLedger: (client, options) => client.listLedger({ principal }, options),
      grantCredits: (client, { headers }, turn) => {
        const requestId = new Headers(headers).get('x-request-id')!;
        const grant = { principal, amount: 5n, idempotencyKey: `${idempotencyKey}-g-${turn}` };
        return client.grantCredits(grant, { headers: { 'x-request-id': requestId } });
      },
      rankDesigns: (client, options) => client.rankDesigns({ workflowId: done, metric: 'plddt' }, options),
    };
    assert.deepEqual(Object.keys(calls).sort(), Object.keys(OrchestratorService.method).sort());
    const codes = await callAll('well');
    assert.deepEqual(new Set(Object.values(codes)), new Set(['ok']), JSON.stringify(codes));
    await settle();
  });

  it('when a value cannot be stored', async () => {
    const { client } = program;
    const texts = ['\u0000', '\ud800', '\u0000'.repeat(3)].map((bad) => `${data}${bad}${data}`);
    for (const bad of texts) {
      const specs = [
        specOf({ a: [] }, { name: bad }),
        specOf({ a: [] }, { name: 'x', labels: { project: data, next: bad } }),
        specOf({ a: [] }, { name: 'x', labels: { [bad]: data } }),
      ];
      for (const spec of specs) await codeOf(client.acceptWorkflow({ spec, keyHash }, as(principal)));
      await codeOf(client.listWorkflows({ labelSelector: { project: bad }, pageToken: bad }, as(principal)));
      await codeOf(client.authenticateApiKey({ keyHash: `${keyHash}${bad}` }));
      await codeOf(client.consumeQuota({ keyHash: `${keyHash}${bad}` }));
      await codeOf(client.grantCredits({ principal: bad, amount: 1n, idempotencyKey: bad, reason: bad }));
      await codeOf(client.getWorkflow({ workflowId: bad }));
      await codeOf(
        client.acceptWorkflow({ spec: specs[0]!, idempotencyKey: bad, keyHash, bodyDigest: bad }, as(principal)),
      );
    }
    await settle();
  });

  it('when the store says too much', async () => {
    for (const how of [
      'refuses the signature',
      'refuses the key',
      'is elsewhere',
      'answers in HTML',
      'says nonsense',
    ]) {
      store.fail(how);
      const id = await submit({ labels: { project: data } });
      const events = await collect(program.client.streamWorkflowEvents({ workflowId: id, replay: true }));
      canaries.scan('body', JSON.stringify(events, exactly));
    }
    store.fail(undefined);
    await settle();
  });

  it('when the database refuses rows that break a rule', async () => {
    const codes = await callWhileBroken(
      (table) => `alter table ${table} add constraint never check (false) not valid`,
      (table) => `alter table ${table} drop constraint never`,
    );
    assert.deepEqual(
      WRITING.map((rpc) => codes[rpc]),
      WRITING.map(() => 'Internal'),
      JSON.stringify(codes),
    );
    await settle();
  });

  it('when the database says too much', async () => {
    const told = canaries.plant('what the database says', { must: ['log'] });
    const inside = canaries.plant('what else the database says', { may: ['log'] });
    await admin.query(`
      create function tell() returns trigger language plpgsql as $$ begin
        raise exception 'no postgresql://ff:${told}@db-7.internal:5432/ff' using detail = '${inside}', hint = '${inside}';
      end $$`);
    const codes = await callWhileBroken(
      (table) => `create trigger tell before insert or update on ${table} for each row execute function tell()`,
      (table) => `drop trigger tell on ${table}`,
    );
    assert.deepEqual(
      WRITING.map((rpc) => codes[rpc]),
      WRITING.map(() => 'Internal'),
      JSON.stringify(codes),
    );
    await settle();
  });

  it('when the tables are gone', async () => {
    const codes = await callWhileBroken(
      (table) => `alter table ${table} rename to hidden_${table}`,
      (table) => `alter table hidden_${table} rename to ${table}`,
    );
    assert.deepEqual(new Set(Object.values(codes)), new Set(['Internal']), JSON.stringify(codes));
    await settle();
  });

  it('when the password of the database is no longer right', async () => {
    await admin.query(`alter role ff password 'another'`);
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ff'`);
    const codes = await callAll('locked out');
    assert.ok(!Object.values(codes).includes('ok'), JSON.stringify(codes));
    await eventually('it is in the log', () => program.stdout().includes('28P01'));
    await settle();
    const wrong = await programs.finish(settings);
    assert.equal(wrong.code, 69);
    assert.match(wrong.stderr, /the password is wrong/);
    canaries.scan('log', wrong.stdout + wrong.stderr);
    const command = await programs.finish({ DATABASE_URL: settings.DATABASE_URL! }, ['apikey', 'list']);
    assert.equal(command.code, 69);
    canaries.scan('log', command.stdout + command.stderr);
    canaries.checkLeaks();
  });

  it('and what must be told was told', () => {
    canaries.checkSightings(/^(?!the message)/);
  });

  /** Each change is one statement for each table, which waits for the program no longer than the program would for it. */
  async function callWhileBroken(breaks: (table: string) => string, mends: (table: string) => string) {
    // That a key was used is written down once a minute.
    await admin.query(`update api_keys set last_used_at = null; set lock_timeout = '5s'`);
    for (const table of TABLES) await admin.query(breaks(table));
    try {
      return await callAll(String(turns++));
    } finally {
      for (const table of TABLES) await admin.query(mends(table));
    }
  }

  async function submit(rest: Parameters<typeof specOf>[1], mock: object = {}): Promise<string> {
    const spec = specOf({ a: [] }, { name: data, ...rest });
    spec.steps[0]!.params = { ...spec.steps[0]!.params, mock } as never;
    return (await program.client.submitWorkflow({ spec }, as(principal))).id;
  }

  /** What each call of the contract is answered with; answers and errors are scanned. */
  async function callAll(turn: string): Promise<Record<string, string>> {
    const codes: Record<string, string> = {};
    for (const [rpc, call] of Object.entries(calls)) {
      const requestId = `${rpc} ${turn}`;
      const headers = { 'ff-principal': principal, 'x-request-id': requestId };
      codes[rpc] = await codeOf(call(program.client, { headers, timeoutMs: 10_000 }, turn));
      await eventually(`${rpc} is logged`, () => program.stdout().includes(`"request_id":"${requestId}"`));
    }
    return codes;
  }

  async function codeOf(call: Promise<unknown>): Promise<string> {
    try {
      canaries.scan('body', JSON.stringify(await call, exactly));
      return 'ok';
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      const trailers = JSON.stringify([...error.metadata]);
      canaries.scan('header', `${error.rawMessage} ${trailers} ${JSON.stringify(error.details, exactly)}`);
      return Code[error.code];
    }
  }

  /** Scans what has come out since the last time. */
  async function settle(): Promise<void> {
    const metrics = await fetch(`http://${/"metrics":"([^"]+)"/.exec(program.stdout())![1]}/metrics`);
    canaries.scan('metrics', await metrics.text());
    const [stdout, stderr] = [program.stdout(), program.stderr()];
    for (const line of stdout.slice(printed.stdout).split('\n')) canaries.scan('log', line);
    canaries.scan('log', stderr.slice(printed.stderr));
    printed = { stdout: stdout.length, stderr: stderr.length };
    for (const request of store.requests.splice(0)) canaries.scan('store', request);
    canaries.checkLeaks();
  }
});

/** A role of its own, which has to say its password, and the URL to do it with. */
async function makeRole(admin: pg.Client, url: string, password: string): Promise<string> {
  const { pathname, searchParams } = new URL(url);
  await admin.query(`create role ff login password '${password}'`);
  await admin.query(`grant all on schema public to ff; grant all on database ${pathname.slice(1)} to ff`);
  // By the server, which alone can tell where the file is that says who needs a password. The first line that fits counts.
  await admin.query(`do $$ begin execute format(
    $copy$copy (
      select 'local all ff scram-sha-256' union all
      select translate(line, e'\\t', ' ') from regexp_split_to_table(pg_read_file(%1$L), e'\\n') line where line !~ '^\\s*(#|$)'
    ) to %1$L$copy$, current_setting('hba_file')); end $$`);
  await admin.query('select pg_reload_conf()');
  return `postgresql://ff:${password}@localhost${pathname}?${searchParams}`;
}

function exactly(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
