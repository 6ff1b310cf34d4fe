import type { Connection, Queryable } from './database.ts';
import { releaseEntries } from './engine-entries.ts';
import { LOCK_SPACE } from './executor-lock.ts';
import { IS_SESSION_OF, RUN_OF_SESSION } from './session-name.ts';

/** An executor that has not said for so long that it is alive is taken for dead, in milliseconds. */
export const EXECUTOR_TTL_MS = 8_000;
const TTL = `interval '${EXECUTOR_TTL_MS} milliseconds'`;
// A beat that waits for longer than this is of no use.
const BEAT_TIMEOUT_MS = 3_000;

/** Lists an executor among those that are alive. `schemaVersion` is the newest migration that its program knows. */
export async function enrolExecutor(db: Queryable, id: string, schemaVersion: number): Promise<void> {
  await db.query(
    `insert into executors as e (id, schema_version) values ($1, $2)
     on conflict (id) do update set
       schema_version = excluded.schema_version, started_at = excluded.started_at, beat_at = excluded.beat_at`,
    [id, schemaVersion],
  );
}

/** Says that the executor is alive. False: others took it for dead, and what it was running is theirs. */
export async function beat(db: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await db.query({
    text: 'update executors set beat_at = clock_timestamp() where id = $1',
    values: [id],
    query_timeout: BEAT_TIMEOUT_MS,
  } as { text: string; values: unknown[] });
  return rowCount === 1;
}

export async function dismissExecutor(db: Queryable, id: string): Promise<void> {
  await db.query('delete from executors where id = $1', [id]);
}

/**
 * Whether a replica is alive whose program does not know migration `schemaVersion`: one that is listed, or that holds the
 * lock of an executor and is on no list, as those are that do not know of the list.
 */
export async function hasExecutorsOlderThan(db: Queryable, schemaVersion: number): Promise<boolean> {
  const { rows } = await db.query<{ found: boolean }>(
    `select exists (select from executors where schema_version < $1 and beat_at > now() - ${TTL})
       or exists (
         select from pg_locks l join pg_database d on d.oid = l.database
         where d.datname = current_database() and l.locktype = 'advisory' and l.granted
           and l.classid::bigint = ${LOCK_SPACE}
           and not exists (select from executors e where hashtext(e.id)::bigint & 4294967295 = l.objid::bigint)) as found`,
    [schemaVersion],
  );
  return rows[0]!.found;
}

export async function countLiveExecutors(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(*)::integer as count from executors where beat_at > now() - ${TTL}`,
  );
  return rows[0]!.count;
}

// An executor of an older program is on no list, but holds its lock for as long as it is connected.
const HOLDS_LOCK = `exists (
  select from pg_locks l join pg_database d on d.oid = l.database
  where d.datname = current_database() and l.locktype = 'advisory' and l.granted
    and l.classid::bigint = ${LOCK_SPACE} and l.objid::bigint = hashtext(x.id)::bigint & 4294967295)`;

/** The executors that are listed or run something, and are dead. */
export async function findDeadExecutors(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `select x.id from (
       select executor_id as id from dbos.workflow_status where status = 'PENDING' union select id from executors) x
     left join executors e on e.id = x.id
     where case when e.id is null then not ${HOLDS_LOCK} else e.beat_at < now() - ${TTL} end`,
  );
  return rows.map(({ id }) => id);
}

/**
 * Ends the transactions of a dead executor that stands still or is cut off: the server would keep their locks. Its run is
 * the one with sessions from before its last sign of life; a process that is being started under the same name has none.
 */
export async function endSessionsOf(db: Queryable, id: string): Promise<void> {
  await db.query(
    `with sessions as (
       select pid, ${RUN_OF_SESSION} as run, backend_start from pg_stat_activity where ${IS_SESSION_OF})
     select pg_terminate_backend(pid) from sessions where run in (
       select run from sessions join executors e on e.id = $1 where backend_start < e.beat_at)`,
    [id],
  );
}

/**
 * Puts what a dead executor was running back into the queue, and strikes it off the list: both or neither, so that one
 * which comes back learns of it. Answers the entries; undefined when it is alive after all.
 */
export async function reapExecutor(connection: Connection, id: string): Promise<string[] | undefined> {
  const { rowCount } = await connection.query(`delete from executors where id = $1 and beat_at < now() - ${TTL}`, [id]);
  if (rowCount === 0) {
    const { rows } = await connection.query<{ alive: boolean }>(
      `select exists (select from executors where id = x.id) or ${HOLDS_LOCK} as alive from (select $1::text as id) x`,
      [id],
    );
    if (rows[0]!.alive) return undefined;
  }
  return await releaseEntries(connection, id);
}
