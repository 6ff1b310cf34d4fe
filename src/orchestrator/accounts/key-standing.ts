import type { Queryable } from '../store/database.ts';

/** How much of a key's window is used. */
export interface Quota {
  /** Submissions per window; 0 means unlimited. */
  readonly limit: bigint;
  /** In the window that is open; 0 when none is. */
  readonly used: bigint;
  readonly windowSeconds: bigint;
  /** When the window ends, in microseconds since 1970; null when none is open. */
  readonly resetsUs: bigint | null;
  /** The same from the moment of the question on. */
  readonly resetsInUs: bigint | null;
}

/** What an API key is worth at this moment. */
export interface KeyStanding extends Quota {
  /** Public: names the key to operators. */
  readonly id: string;
  readonly principal: string;
  readonly readOnly: boolean;
  /** Why the key is no longer good. */
  readonly lapse: 'revoked' | 'expired' | null;
  /** Microseconds since 1970; null: never. */
  readonly expiresUs: bigint | null;
}

/** Why a key may not submit. */
export type Refusal = 'unknown' | 'revoked' | 'expired' | 'read-only' | 'quota exceeded';

// Each of these is asked more than once in a statement, so the time must be the same throughout it. The beginning of
// the transaction would be too old: it may have waited for others since.
export const WINDOW_IS_OPEN = `
  coalesce(window_started_at + window_s * interval '1 second' > statement_timestamp(), false)`;
export const IS_GOOD = `
  (revoked_at is null and coalesce(expires_at > statement_timestamp(), true))`;
export const USED = `case when ${WINDOW_IS_OPEN} then used else 0 end`;

/** The columns of a row of api_keys that make a KeyStanding. */
export const STANDING_COLUMNS = `
  id, principal, read_only as "readOnly",
  case when ${IS_GOOD} then null when revoked_at is null then 'expired' else 'revoked' end as lapse,
  (extract(epoch from expires_at) * 1000000)::bigint as "expiresUs",
  quota_limit as "limit", ${USED} as used, window_s as "windowSeconds",
  case when ${WINDOW_IS_OPEN} then (extract(epoch from window_started_at) * 1000000)::bigint + window_s * 1000000 end
    as "resetsUs",
  case when ${WINDOW_IS_OPEN} then
    (extract(epoch from window_started_at - statement_timestamp()) * 1000000)::bigint + window_s * 1000000 end
    as "resetsInUs"`;

/** Undefined: nobody has made such a key. `keyHash` is the lower-case hex SHA-256 of the raw key. */
export async function readKeyStanding(db: Queryable, keyHash: string): Promise<KeyStanding | undefined> {
  const { rows } = await db.query<KeyStanding>(`select ${STANDING_COLUMNS} from api_keys where key_hash = $1`, [
    keyHash,
  ]);
  return rows[0];
}

/** Undefined: the key may submit once more. */
export function refusalOf(key: KeyStanding | undefined): Refusal | undefined {
  if (!key) return 'unknown';
  if (key.lapse) return key.lapse;
  if (key.readOnly) return 'read-only';
  return key.limit > 0n && key.used >= key.limit ? 'quota exceeded' : undefined;
}

/** Says whose key it is. Remembers, at most once a minute, that it was used, but waits for nobody who is counting it. */
export async function authenticateKey(db: Queryable, keyHash: string): Promise<KeyStanding | undefined> {
  const { rows } = await db.query<KeyStanding & { readonly stale: boolean }>(
    `select ${STANDING_COLUMNS}, coalesce(last_used_at < now() - interval '1 minute', true) as stale
     from api_keys where key_hash = $1`,
    [keyHash],
  );
  if (!rows[0]) return undefined;
  const { stale, ...key } = rows[0];
  if (stale && !key.lapse) {
    await db.query(
      `update api_keys set last_used_at = now()
       where id = (select id from api_keys where id = $1 for update skip locked)`,
      [key.id],
    );
  }
  return key;
}
