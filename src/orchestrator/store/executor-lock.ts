import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Log } from '../../shared/log.ts';
import { StartupError } from '../../shared/startup-error.ts';
import { keepSession, type Session } from './session.ts';

/** An arbitrary number that sets our advisory locks apart from those of others. */
const LOCK_SPACE = 737_055_100;
const RETRY_MS = 200;

export interface ExecutorLockParts {
  readonly databaseUrl: string;
  readonly executorId: string;
  /** How long the session of a predecessor that was killed may linger. */
  readonly waitMs: number;
  /** The lock was lost with its connection, and another process has it now. */
  readonly onTaken: () => void;
  readonly log: Log;
}

/**
 * Makes sure that one process at a time runs as `executorId`: two would run each other's steps twice.
 * Throws StartupError when another process keeps the lock.
 */
export async function holdExecutorLock(parts: ExecutorLockParts): Promise<Session> {
  const { databaseUrl, executorId, waitMs, onTaken, log } = parts;
  let held = false;

  async function prepare(client: pg.Client): Promise<void> {
    for (const deadline = Date.now() + waitMs; ; ) {
      const { rows } = await client.query<{ taken: boolean }>(
        'select pg_try_advisory_lock($1, hashtext($2)) as taken',
        [LOCK_SPACE, executorId],
      );
      if (rows[0]!.taken) break;
      if (Date.now() < deadline) await sleep(RETRY_MS);
      else {
        if (held) onTaken();
        throw new StartupError(
          `another orchestrator is running as executor "${executorId}" on this database; give each its own EXECUTOR_ID`,
        );
      }
    }
    held = true;
  }

  return await keepSession({ databaseUrl, purpose: 'executor lock', prepare, log });
}
