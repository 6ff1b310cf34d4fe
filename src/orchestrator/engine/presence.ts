import type { Log } from '../../shared/log.ts';
import type { Metrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { releaseEntries } from '../store/engine-entries.ts';
import {
  beat,
  dismissExecutor,
  EXECUTOR_TTL_MS,
  endSessionsOf,
  enrolExecutor,
  findDeadExecutors,
  reapExecutor,
} from '../store/executors.ts';
import { MIGRATIONS } from '../store/migrations.ts';
import { startChore } from './chore.ts';

const BEAT_INTERVAL_MS = 2_000;
/** Beats that are further apart are no steady ones: the database was away, or this process stood still. */
const STEADY_MS = 5_000;
/** Whoever has not been steady for so long gives the others time to say that they are alive. */
const GRACE_MS = 4_000;

export interface PresenceParts {
  /** With connections that nothing else waits for. */
  readonly database: Database;
  readonly executorId: string;
  /** Called when others may have what this executor is running; what it answers stops those runs, which are in vain. */
  readonly seizeRuns: () => () => void;
  readonly metrics: Pick<Metrics, 'stepsReaped'>;
  readonly log: Log;
}

export type Presence = Awaited<ReturnType<typeof startPresence>>;

/**
 * Tells the other replicas that this one is alive, and takes over what dead ones were running: within 8 + 2 s
 * after their last sign of life. A wrong guess costs a run that is done twice; only one of the two can record anything.
 */
export async function startPresence({ database, executorId, seizeRuns, metrics, log }: PresenceParts) {
  const { pool } = database;
  let lastBeatAt = performance.now();
  let steadySince = lastBeatAt;

  async function sayAlive(): Promise<void> {
    if (!(await beat(pool, executorId))) {
      log.warn({ executor_id: executorId }, 'was taken for dead: giving up what it was running');
      // Not what begins once the entries are released, for that has a good token: that it was stopped would be recorded.
      const abandonRuns = seizeRuns();
      // First, for only then nothing can be recorded of the runs that are abandoned.
      await releaseEntries(pool, executorId);
      abandonRuns();
      await enrolExecutor(pool, executorId, MIGRATIONS.length);
    }
    const now = performance.now();
    if (now - lastBeatAt > STEADY_MS) steadySince = now;
    lastBeatAt = now;
  }

  async function reapDead(): Promise<void> {
    for (const id of await findDeadExecutors(pool)) {
      if (id === executorId) continue;
      await endSessionsOf(pool, id);
      const entries = await database.transaction((connection) => reapExecutor(connection, id));
      if (!entries) continue;
      metrics.stepsReaped(entries.length);
      log.warn({ dead_executor_id: id, step_runs: entries }, 'took over from a dead executor');
    }
  }

  await enrolExecutor(pool, executorId, MIGRATIONS.length);
  const beating = startChore({ name: 'the heartbeat', intervalMs: BEAT_INTERVAL_MS, work: sayAlive, log });
  // On its own: a reap may have to wait for a lock.
  const reaping = startChore({
    name: 'taking over from dead executors',
    intervalMs: BEAT_INTERVAL_MS,
    log,
    async work() {
      const isSteady = performance.now() - lastBeatAt < STEADY_MS;
      if (isSteady && lastBeatAt - steadySince >= GRACE_MS) await reapDead();
    },
  });

  /** Hands over what was running, so that nobody waits for a sign of life. Call it when nothing runs any more. */
  async function close(): Promise<void> {
    await Promise.all([beating.close(), reaping.close()]);
    await releaseEntries(pool, executorId);
    await dismissExecutor(pool, executorId);
  }

  return {
    /** False when others take, or will soon take, this one for dead: it has no word from the database. */
    isAlive: () => performance.now() - lastBeatAt < EXECUTOR_TTL_MS,
    close,
  };
}
