import { StartupError } from '../../shared/startup-error.ts';
import type { Database } from './database.ts';

/** Number n brings the schema from n - 1 to n. Never change one that was released: add another. */
export const MIGRATIONS: readonly string[] = [
  `
  create table workflows (
    id text primary key,
    owner text,
    idempotency_key text,
    spec bytea not null,
    labels jsonb not null,
    state text not null check (state in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    last_event_id bigint not null default 0,
    -- What this workflow has cost and was not refunded, and how often it was debited (credits).
    charged bigint not null default 0,
    charges integer not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
  );
  create unique index workflows_idempotency on workflows (coalesce(owner, ''), idempotency_key)
    where idempotency_key is not null;
  create index workflows_newest on workflows (created_at desc, id desc);
  create index workflows_newest_of_owner on workflows (owner, created_at desc, id desc);
  create index workflows_labels on workflows using gin (labels jsonb_path_ops);

  create table steps (
    workflow_id text not null references workflows (id) on delete cascade,
    step_id text not null,
    position integer not null,
    tool text not null,
    depends_on text[] not null,
    state text not null check (state in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    attempt integer not null default 1,
    fraction real not null default 0,
    output jsonb,
    fault jsonb,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (workflow_id, step_id)
  );

  create table events (
    workflow_id text not null references workflows (id) on delete cascade,
    event_id bigint not null,
    body bytea not null,
    primary key (workflow_id, event_id)
  );

  create table api_keys (
    id text primary key,
    key_hash text not null unique,
    principal text not null,
    quota_limit bigint not null check (quota_limit >= 0),
    window_s bigint not null check (window_s > 0),
    used bigint not null default 0,
    -- Null: never used.
    window_started_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    last_used_at timestamptz,
    revoked_at timestamptz
  );

  create table balances (
    principal text primary key,
    balance bigint not null default 0 check (balance >= 0)
  );
  create table ledger (
    id bigint generated always as identity primary key,
    principal text not null references balances (principal),
    delta bigint not null,
    reason text not null,
    balance_after bigint not null,
    idempotency_key text not null unique,
    created_at timestamptz not null default clock_timestamp()
  );
  create index ledger_newest on ledger (principal, id desc);
  `,
  `
  alter table api_keys
    -- Null: for ever.
    add column expires_at timestamptz,
    add column read_only boolean not null default false;

  create table idempotency_keys (
    -- The owner; empty for the static token.
    scope text not null,
    key text not null,
    -- Null: whoever used the key did not say.
    body_digest text,
    workflow_id text not null references workflows (id) on delete cascade,
    accepted_at timestamptz not null default clock_timestamp(),
    primary key (scope, key)
  );
  insert into idempotency_keys (scope, key, workflow_id, accepted_at)
    select coalesce(owner, ''), idempotency_key, id, created_at from workflows where idempotency_key is not null;
  create index idempotency_keys_oldest on idempotency_keys (accepted_at);
  create index idempotency_keys_of_workflow on idempotency_keys (workflow_id);
  drop index workflows_idempotency;
  alter table workflows drop column idempotency_key;
  `,
];

/** An arbitrary number that all versions of the program agree on. */
const MIGRATION_LOCK = 7_370_551_001;

// Large tables take their time, and a rival that is migrating them too: neither bound of a query applies.
const PATIENCE_MS = 24 * 3600 * 1000;
const patiently = (text: string, values: readonly unknown[] = []) => ({
  text,
  ...(values.length > 0 && { values: [...values] }),
  query_timeout: PATIENCE_MS,
});

/** Whether any version of the program has been here. */
export async function hasSchema({ pool }: Pick<Database, 'pool'>): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>(`select to_regclass('schema_versions') is not null as found`);
  return rows[0]!.found;
}

/** Brings the schema up to date, one process at a time. Throws StartupError when the schema is newer than the program. */
export async function migrate({ transaction }: Database): Promise<void> {
  await transaction(async (connection) => {
    await connection.query('set local statement_timeout = 0; set local lock_timeout = 0');
    await connection.query(patiently('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]));
    await connection.query(
      `create table if not exists schema_versions (
         version integer primary key,
         applied_at timestamptz not null default clock_timestamp()
       )`,
    );
    const { rows } = await connection.query<{ version: number }>(
      'select coalesce(max(version), 0) as version from schema_versions',
    );
    const current = rows[0]!.version;
    if (current > MIGRATIONS.length) {
      throw new StartupError(
        `the database has schema version ${current}, but this program only knows ${MIGRATIONS.length}: use a newer one`,
      );
    }
    for (const [index, sql] of MIGRATIONS.entries()) {
      if (index < current) continue;
      await connection.query(patiently(sql));
      await connection.query('insert into schema_versions (version) values ($1)', [index + 1]);
    }
  });
}
