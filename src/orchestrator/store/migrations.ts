/**
 * One step of the schema. Replicas of an older program go on working beside the newer one, so what they use is first left
 * alone and later removed: `expand` only adds what an older program can ignore (tables, columns with a default or null), in
 * one transaction; `index` builds one index without stopping writers; `contract` removes what no program uses since the
 * migration before it, and waits until no replica is alive that does not know that one.
 */
export type Migration =
  | { readonly kind: 'expand' | 'contract'; readonly sql: string }
  | { readonly kind: 'index'; readonly name: string; readonly on: string };

/** Number n brings the schema from n - 1 to n. Never change one that was released: add another. */
export const MIGRATIONS: readonly Migration[] = [
  {
    kind: 'expand',
    sql: `
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
  },
  {
    // Older than the rule: a program that only knows the first one cannot run beside it.
    kind: 'expand',
    sql: `
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
  },
  {
    kind: 'expand',
    sql: `
  create table executors (
    id text primary key,
    -- The newest migration that its program knows.
    schema_version integer not null,
    started_at timestamptz not null default clock_timestamp(),
    beat_at timestamptz not null default clock_timestamp()
  );
  -- W3C Trace Context of the call that submitted it.
  alter table workflows add column traceparent text;
  alter table steps
    -- How often it was tried again by itself since it was last asked for.
    add column retries integer not null default 0,
    -- Since when it could run; null: not yet, or an older program has not said.
    add column queued_at timestamptz;
  `,
  },
];
