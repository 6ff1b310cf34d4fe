import type { Connection, Queryable } from './database.ts';
import { WORKFLOW_COLUMNS, type WorkflowRow } from './workflows.ts';

/** An arbitrary number that sets these advisory locks apart from others. */
const LOCK_SEED = 737_055_103;

/** Who uses a key, and which. */
export interface IdempotencyKey {
  /** The owner; empty for the static token. */
  readonly scope: string;
  readonly key: string;
}

/**
 * Makes this transaction the only one that uses the key. What it reads of the key after this is all that there is, so
 * read it in a statement of its own.
 */
export async function lockIdempotencyKey(connection: Connection, { scope, key }: IdempotencyKey): Promise<void> {
  await connection.query('select pg_advisory_xact_lock(hashtextextended($2, hashtextextended($1, $3)))', [
    scope,
    key,
    LOCK_SEED,
  ]);
}

/** The same without waiting: false when another transaction has the key. */
export async function tryLockIdempotencyKey(connection: Connection, { scope, key }: IdempotencyKey): Promise<boolean> {
  const { rows } = await connection.query<{ mine: boolean }>(
    'select pg_try_advisory_xact_lock(hashtextextended($2, hashtextextended($1, $3))) as mine',
    [scope, key, LOCK_SEED],
  );
  return rows[0]!.mine;
}

/** What a key was used for. */
export interface FirstUse {
  /** Null: nobody said. */
  readonly bodyDigest: string | null;
  /** As it is now. */
  readonly workflow: WorkflowRow;
  /** WorkflowSpec as protobuf bytes. */
  readonly spec: Uint8Array;
}

export async function findFirstUse(db: Queryable, { scope, key }: IdempotencyKey): Promise<FirstUse | undefined> {
  const { rows } = await db.query<WorkflowRow & Pick<FirstUse, 'bodyDigest' | 'spec'>>(
    `select i.body_digest as "bodyDigest", w.spec, ${WORKFLOW_COLUMNS}
     from idempotency_keys i join workflows w on w.id = i.workflow_id where i.scope = $1 and i.key = $2`,
    [scope, key],
  );
  if (!rows[0]) return undefined;
  const { bodyDigest, spec, ...workflow } = rows[0];
  return { bodyDigest, workflow, spec };
}

export async function insertIdempotencyKey(
  connection: Connection,
  { scope, key }: IdempotencyKey,
  bodyDigest: string | undefined,
  workflowId: string,
): Promise<void> {
  await connection.query(
    'insert into idempotency_keys (scope, key, body_digest, workflow_id) values ($1, $2, $3, $4)',
    [scope, key, bodyDigest ?? null, workflowId],
  );
}

/** Deletes up to `limit` keys that were used more than `ageMs` ago, oldest first; answers how many. */
export async function deleteOldIdempotencyKeys(db: Queryable, ageMs: number, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `delete from idempotency_keys where (scope, key) in (
       select scope, key from idempotency_keys
       where accepted_at < now() - $1::double precision * interval '1 millisecond'
       order by accepted_at limit $2 for update skip locked)`,
    [ageMs, limit],
  );
  return rowCount ?? 0;
}
