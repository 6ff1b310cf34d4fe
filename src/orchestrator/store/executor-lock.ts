import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Log } from '../../shared/log.ts';
import { StartupError } from '../../shared/startup-error.ts';
import { SERVER_KEEPALIVES } from './database.ts';
import { keepSession, type Session } from './session.ts';

/** An arbitrary number that sets our advisory locks apart from those of others. */
export const LOCK_SPACE = 737_055_100;
const RETRY_MS = 200;

/** The server's name for one session: a process id may be used again. */
interface Backend {
  readonly pid: number;
  readonly startedAt: string;
}

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
  let own: Backend | undefined;

  async function prepare(client: pg.Client, closing: AbortSignal): Promise<void> {
    await client.query(SERVER_KEEPALIVES);
    if (own) await endSession(client, executorId, own);
    for (const deadline = Date.now() + waitMs; !(await takeLock(client, executorId)); ) {
      if (Date.now() < deadline) await sleep(RETRY_MS, undefined, { signal: closing });
      else {
        if (own) onTaken();
        throw new StartupError(
          `another orchestrator is running as executor "${executorId}" on this database; give each its own EXECUTOR_ID`,
        );
      }
    }
    own = await readBackend(client);
  }

  return await keepSession({ databaseUrl, purpose: 'executor lock', prepare, log });
}

async function takeLock(client: pg.Client, executorId: string): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1, hashtext($2)) as taken', [
    LOCK_SPACE,
    executorId,
  ]);
  return rows[0]!.taken;
}

async function readBackend(client: pg.Client): Promise<Backend> {
  const { rows } = await client.query<Backend>(
    'select pid, backend_start::text as "startedAt" from pg_stat_activity where pid = pg_backend_pid()',
  );
  return rows[0]!;
}

/** Ends the session that held the lock before: the server may not have noticed yet that we have lost it. */
async function endSession(client: pg.Client, executorId: string, { pid, startedAt }: Backend): Promise<void> {
  await client.query(
    `select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'advisory' and l.granted and l.classid::bigint = $1
       and l.objid::bigint = hashtext($2)::bigint & 4294967295
       and l.pid = $3 and a.backend_start::text = $4`,
    [LOCK_SPACE, executorId, pid, startedAt],
  );
}
