import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../shared/log.ts';
import { StartupError } from '../../shared/startup-error.ts';
import type { Connection, Database } from './database.ts';
import { hasExecutorsOlderThan } from './executors.ts';
import { MIGRATIONS, type Migration } from './migrations.ts';
import { takeTurn } from './turn.ts';

/** An arbitrary number that all versions of the program agree on. */
const MIGRATION_LOCK = 7_370_551_001;

// Large tables take their time, and a rival that is migrating them too: neither bound of a query applies.
const PATIENCE_MS = 24 * 3600 * 1000;
const patiently = (text: string, values: readonly unknown[] = []) => ({
  text,
  ...(values.length > 0 && { values: [...values] }),
  query_timeout: PATIENCE_MS,
});

// Whoever waits for a table makes all others wait who come after: give way, and try again.
const TABLE_WAIT_MS = 2_000;
const TABLE_TRIES = 60;
const TABLE_PAUSE_MS = 500;
/** SQLSTATE: lock_not_available, deadlock_detected. */
const GAVE_WAY = new Set(['55P03', '40P01']);

/** Whether any version of the program has been here. */
export async function hasSchema({ pool }: Pick<Database, 'pool'>): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>(`select to_regclass('schema_versions') is not null as found`);
  return rows[0]!.found;
}

/**
 * Brings the schema up to date, one process at a time, while others work with it. A contract migration that live
 * replicas are not ready for is left to a later start. Throws StartupError when the schema is newer than the program.
 */
export async function migrate(
  database: Pick<Database, 'pool'>,
  log?: Log,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  const rival = 'another orchestrator does not finish migrating this database';
  await takeTurn(database, { lock: MIGRATION_LOCK, waitMs: PATIENCE_MS, rival }, async (connection) => {
    await connection.query(
      'set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set lock_timeout = 0',
    );
    const applied = await readApplied(connection);
    const newest = Math.max(0, ...applied);
    if (newest > migrations.length) {
      throw new StartupError(
        `the database has schema version ${newest}, but this program only knows ${migrations.length}: use a newer one`,
      );
    }
    for (const [index, migration] of migrations.entries()) {
      const version = index + 1;
      if (applied.has(version)) continue;
      if (migration.kind === 'contract' && (await hasExecutorsOlderThan(connection, version - 1))) {
        log?.warn(
          { schema_version: version },
          'replicas of an older version are alive: this migration is left for later',
        );
      } else await apply(connection, version, migration);
    }
  });
}

async function readApplied(connection: Connection): Promise<ReadonlySet<number>> {
  await connection.query(
    `create table if not exists schema_versions (
       version integer primary key,
       applied_at timestamptz not null default clock_timestamp()
     )`,
  );
  const { rows } = await connection.query<{ version: number }>('select version from schema_versions');
  return new Set(rows.map(({ version }) => version));
}

async function apply(connection: Connection, version: number, migration: Migration): Promise<void> {
  const done = patiently('insert into schema_versions (version) values ($1)', [version]);
  if (migration.kind === 'index') {
    await buildIndex(connection, migration);
    await connection.query(done);
    return;
  }
  for (let tries = 1; ; tries++) {
    try {
      await connection.query(`begin; set local lock_timeout = ${TABLE_WAIT_MS}`);
      await connection.query(patiently(migration.sql));
      await connection.query(done);
      await connection.query('commit');
      return;
    } catch (error) {
      // Whatever becomes of it, the first error is the one that tells.
      await connection.query('rollback').catch(() => {});
      if (!GAVE_WAY.has(String((error as { code?: string }).code)) || tries === TABLE_TRIES) throw error;
      await sleep(TABLE_PAUSE_MS);
    }
  }
}

/** One that was being built when its program ended is of no use, and in the way. */
async function buildIndex(connection: Connection, { name, on }: Extract<Migration, { kind: 'index' }>): Promise<void> {
  const { rows } = await connection.query<{ valid: boolean }>(
    'select indisvalid as valid from pg_index where indexrelid = to_regclass($1)',
    [name],
  );
  if (rows[0]?.valid === false) await connection.query(patiently(`drop index concurrently ${name}`));
  if (!rows[0]?.valid) await connection.query(patiently(`create index concurrently ${name} on ${on}`));
}
