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
  {
    kind: 'expand',
    sql: `
  -- Of any length, and so not what an index can hold.
  create function label_digest(key text, value text) returns uuid language sql immutable strict parallel safe
    return encode(substring(sha256(convert_to(length(key) || ':' || key || value, 'UTF8')) for 16), 'hex')::uuid;

  -- Each label of each workflow in the order of a list, which an index on the labels themselves does not have.
  create table workflow_labels (
    label uuid not null,
    created_at timestamptz not null,
    workflow_id text not null,
    owner text,
    primary key (label, created_at, workflow_id)
  );
  create index workflow_labels_of_owner on workflow_labels (owner, label, created_at, workflow_id);

  -- A program that does not know the table keeps it, too.
  create function keep_workflow_labels() returns trigger language plpgsql as $$
  begin
    if tg_op <> 'INSERT' then
      delete from workflow_labels l using jsonb_each_text(old.labels) as e
        where l.label = label_digest(e.key, e.value) and l.created_at = old.created_at and l.workflow_id = old.id;
    end if;
    if tg_op <> 'DELETE' then
      insert into workflow_labels (label, created_at, workflow_id, owner)
        select label_digest(e.key, e.value), new.created_at, new.id, new.owner from jsonb_each_text(new.labels) as e;
    end if;
    return null;
  end $$;
  create trigger keep_workflow_labels after insert or delete or update of id, owner, labels, created_at on workflows
    for each row execute function keep_workflow_labels();

  -- What workflows that were deleted have left in the object store, whether or not others refer to it.
  create table artifacts_to_delete (
    uri text primary key,
    bytes bigint not null,
    released_at timestamptz not null default clock_timestamp()
  );
  `,
  },
  {
    // Apart from the trigger, which nobody can write beside while it is being made.
    kind: 'expand',
    sql: `
  insert into workflow_labels (label, created_at, workflow_id, owner)
    select label_digest(e.key, e.value), w.created_at, w.id, w.owner
    from workflows w, jsonb_each_text(w.labels) as e on conflict do nothing;
  `,
  },
  { kind: 'index', name: 'workflows_newest_in_state', on: 'workflows (state, created_at, id)' },
  { kind: 'index', name: 'workflows_newest_of_owner_in_state', on: 'workflows (owner, state, created_at, id)' },
  {
    kind: 'index',
    name: 'steps_artifacts',
    on: `steps using gin ((jsonb_path_query_array(output, '$.artifacts[*].uri')) jsonb_path_ops) where output is not null`,
  },
  // Of the labels as a whole: lists now walk along workflow_labels.
  { kind: 'contract', sql: 'drop index workflows_labels' },
];
