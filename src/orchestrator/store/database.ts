import pg from 'pg';
import { StartupError } from '../../shared/startup-error.ts';
import { PreparingClient } from './preparing-client.ts';

export type Connection = pg.PoolClient;
/** A pool, or one connection of it inside a transaction. */
export type Queryable = Pick<pg.Pool, 'query'>;

export interface Database {
  readonly pool: pg.Pool;
  /** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
  readonly transaction: <T>(work: (connection: Connection) => Promise<T>) => Promise<T>;
  /** Resolves when the database answers within `timeoutMs`; throws otherwise. */
  readonly ping: (timeoutMs: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** bigint columns are exact: they arrive as bigint, not as text. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === pg.types.builtins.INT8) return (value: string) => BigInt(value);
    return pg.types.getTypeParser(oid, format as 'text');
  },
} as pg.CustomTypesConfig;

// Longer than the server's own bound, which a server that is gone does not keep.
export const QUERY_TIMEOUT_MS = 12_000;
/** A process that stands still in the middle of a transaction keeps its locks for so long. */
export const IDLE_IN_TRANSACTION_MS = 5_000;
/** Whoever waits for a lock keeps one of few connections from others: it gives way, and tries again. */
const LOCK_TIMEOUT_MS = 5_000;

export interface DatabaseOptions {
  readonly connections?: number;
  /** As `pg_stat_activity` has it. */
  readonly name?: string;
  readonly lockTimeoutMs?: number;
}

/** How long a connection is silent before the system asks whether the other end is still there. */
export const KEEPALIVE_DELAY_MS = 5_000;
/**
 * For sessions that hold a lock: within 5 + 2 * 3 s the server finds out that the other end is gone, and gives the lock
 * back. A Unix socket accepts the settings, and has no need of them.
 */
export const SERVER_KEEPALIVES =
  'set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3';

/**
 * Opens a pool and proves that the database answers. `onLost` hears once of each connection that is lost. Throws
 * StartupError, which never shows the URL's password.
 */
export async function openDatabase(
  databaseUrl: string,
  onLost: (error: Error) => void,
  { connections = 10, name = 'foldforge-orchestrator', lockTimeoutMs = LOCK_TIMEOUT_MS }: DatabaseOptions = {},
): Promise<Database> {
  const pool = new pg.Pool({
    Client: PreparingClient,
    connectionString: databaseUrl,
    max: connections,
    types,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 10_000,
    query_timeout: QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    lock_timeout: lockTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
    application_name: name,
  });
  // The pool listens only to connections that are idle: one lost between two queries would end the process.
  pool.on('connect', (client) => client.once('error', onLost).on('error', () => {}));
  pool.on('error', () => {});
  try {
    await pool.query('select 1');
  } catch (error) {
    await pool.end();
    throw unreachable(databaseUrl, error as Error);
  }

  async function transaction<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await pool.connect();
    let broken: Error | undefined;
    try {
      await connection.query('begin');
      const result = await work(connection);
      await connection.query('commit');
      return result;
    } catch (error) {
      // A connection that keeps silent would keep silent about the rollback too.
      if (isDatabaseAway(error)) broken = error as Error;
      else {
        await connection.query('rollback').catch((rollbackError: Error) => {
          broken = rollbackError;
        });
      }
      throw error;
    } finally {
      connection.release(broken);
    }
  }

  async function ping(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`the database did not answer within ${timeoutMs} ms`)), timeoutMs);
    });
    await Promise.race([pool.query('select 1'), timeout]).finally(() => clearTimeout(timer));
  }

  return { pool, transaction, ping, close: () => pool.end() };
}

// Besides a lost connection: out of resources (53), shutting down or timed out (57), a deadlock, a lock that was busy.
const AWAY_CODES =
  /^(08...|53...|57...|40001|40P01|55P03|25P03|ECONN(REFUSED|RESET|ABORTED)|EPIPE|ENOENT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/;
const AWAY_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection)/;

/** Whether a query had no answer in time. What comes over its connection from then on cannot be told apart. */
export function isSilence(error: unknown): boolean {
  return (error as { message?: unknown }).message === 'Query read timeout';
}

/** Whether the database could not answer just now, as opposed to having refused what it was asked. */
export function isDatabaseAway(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return AWAY_CODES.test(String(code ?? '')) || AWAY_MESSAGES.test(String(message ?? ''));
}

/** SQLSTATE classes 22 and 54: the values themselves cannot be stored, such as a NUL character or an oversized text. */
export function isUnstorable(error: unknown): boolean {
  return /^(22|54)...$/.test(String((error as { code?: unknown }).code ?? ''));
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'there is no such socket',
  ENOTFOUND: 'the host name is unknown',
  '28P01': 'the password is wrong',
  '28000': 'the user is not allowed to connect',
  '3D000': 'there is no such database',
};

/** Whether `error` is the operator's to mend: the database is away, or refuses us as a user. */
export function isUnusable(error: unknown): boolean {
  return isDatabaseAway(error) || Object.hasOwn(REASONS, String((error as { code?: unknown }).code ?? ''));
}

/** What to tell the operator when the database at `databaseUrl` cannot be used because of `error`. */
export function unreachable(databaseUrl: string, error: Error & { code?: string }): StartupError {
  const url = URL.canParse(databaseUrl) ? new URL(databaseUrl) : undefined;
  const host = url?.searchParams.get('host') || url?.host;
  const place = url ? `${host || 'localhost'}, database ${url.pathname.slice(1) || '(default)'}` : 'its URL';
  const reason = REASONS[error.code ?? ''] ?? (error.message || error.code || 'unknown error');
  return new StartupError(`cannot use the database at ${place}: ${reason}`, undefined, { cause: error });
}
