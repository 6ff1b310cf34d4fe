import { setTimeout as sleep } from 'node:timers/promises';
import { StartupError } from '../../shared/startup-error.ts';
import { type Connection, type Database, SERVER_KEEPALIVES } from './database.ts';

const RETRY_MS = 100;

export interface Turn {
  /** A number that all versions of the program agree on. */
  readonly lock: number;
  readonly waitMs: number;
  /** What to say when the turn does not come. */
  readonly rival: string;
}

/**
 * Runs `work` while no other process on this database has the same lock; `work` may use the connection that holds it.
 * Throws StartupError when its turn has not come after `waitMs`.
 */
export async function takeTurn<T>(
  { pool }: Pick<Database, 'pool'>,
  { lock, waitMs, rival }: Turn,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await pool.connect();
  try {
    await connection.query(SERVER_KEEPALIVES);
    // A lock that is waited for would itself be in the way of an index that is built concurrently: ask again and again.
    for (const deadline = Date.now() + waitMs; ; await sleep(RETRY_MS)) {
      const { rows } = await connection.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [lock]);
      if (rows[0]!.mine) break;
      if (Date.now() > deadline) throw new StartupError(rival);
    }
    return await work(connection);
  } finally {
    // Ending the session gives the lock back in any case.
    connection.release(true);
  }
}
