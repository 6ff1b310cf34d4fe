import type { Log } from '../../shared/log.ts';
import type { Database } from '../store/database.ts';
import { deleteOldIdempotencyKeys } from '../store/idempotency-keys.ts';
import { type Chore, startChore } from './chore.ts';

const HOUR_MS = 3600 * 1000;
/** The contract's promise (contract/http, Idempotency-Key). */
const KEPT_MS = 24 * HOUR_MS;
// What one statement does: short enough that nobody notices it.
const KEYS_AT_A_TIME = 500;

export interface IdempotencyRetentionParts {
  readonly database: Pick<Database, 'pool'>;
  readonly log: Log;
}

/** Forgets idempotency keys that were used more than a day ago, every hour. Until then even an older one still replays. */
export function startIdempotencyRetention({ database, log }: IdempotencyRetentionParts): Chore {
  return startChore({
    name: 'deleting old idempotency keys',
    intervalMs: HOUR_MS,
    log,
    async work(signal) {
      const keys = await tidyIdempotencyKeys(database, signal);
      if (keys > 0) log.info({ keys }, 'deleted old idempotency keys');
    },
  });
}

/** Deletes all that are old enough, and answers how many; throws the reason of `signal` when it aborts. */
export async function tidyIdempotencyKeys(
  { pool }: IdempotencyRetentionParts['database'],
  signal: AbortSignal,
): Promise<number> {
  for (let deleted = 0; ; ) {
    signal.throwIfAborted();
    const count = await deleteOldIdempotencyKeys(pool, KEPT_MS, KEYS_AT_A_TIME);
    deleted += count;
    if (count < KEYS_AT_A_TIME) return deleted;
  }
}
