import { setTimeout as sleep } from 'node:timers/promises';
import { StartupError } from '../../shared/startup-error.ts';
import { type Database, SERVER_KEEPALIVES } from './database.ts';

/** An arbitrary number that all versions of the program agree on. */
const TURN_LOCK = 7_370_551_002;
const RETRY_MS = 100;

/**
 * Runs `work` while no other process on this database does: two that set up the engine's own schema at the same time
 * would deadlock. Throws StartupError when its turn has not come after `waitMs`.
 */
export async function takeStartupTurn<T>({ pool }: Database, waitMs: number, work: () => Promise<T>): Promise<T> {
  const connection = await pool.connect();
  try {
    await connection.query(SERVER_KEEPALIVES);
    // A lock that is waited for would itself be in the way of an index that is built concurrently: ask again and again.
    for (const deadline = Date.now() + waitMs; ; await sleep(RETRY_MS)) {
      const { rows } = await connection.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [
        TURN_LOCK,
      ]);
      if (rows[0]!.mine) break;
      if (Date.now() > deadline)
        throw new StartupError('another orchestrator on this database does not finish starting');
    }
    return await work();
  } finally {
    // Ending the session gives the lock back in any case.
    connection.release(true);
  }
}
