import type { Queryable } from '../store/database.ts';
import {
  IS_GOOD,
  type KeyStanding,
  type Refusal,
  readKeyStanding,
  refusalOf,
  STANDING_COLUMNS,
  WINDOW_IS_OPEN,
} from './key-standing.ts';

export interface Count {
  /** After this submission; undefined when nobody has made such a key. */
  readonly key: KeyStanding | undefined;
  /** Undefined: the submission was counted. */
  readonly refusal: Refusal | undefined;
}

/**
 * Counts one submission in one statement, so that no two callers can take the last place; in a transaction, the others
 * wait for its end. A window is fixed: it begins with the first submission of all, and then with the first after the one
 * before has ended.
 */
export async function countSubmission(db: Queryable, keyHash: string): Promise<Count> {
  for (;;) {
    const { rows } = await db.query<KeyStanding>(
      `update api_keys set
         last_used_at = statement_timestamp(),
         used = case when ${WINDOW_IS_OPEN} then used + 1 else 1 end,
         window_started_at = case when ${WINDOW_IS_OPEN} then window_started_at else statement_timestamp() end
       where key_hash = $1 and ${IS_GOOD} and not read_only
         and (quota_limit = 0 or used < quota_limit or not ${WINDOW_IS_OPEN})
       returning ${STANDING_COLUMNS}`,
      [keyHash],
    );
    if (rows[0]) return { key: rows[0], refusal: undefined };
    const key = await readKeyStanding(db, keyHash);
    const refusal = refusalOf(key);
    // None: the window has ended between the two statements, and there is room again.
    if (refusal) return { key, refusal };
  }
}
