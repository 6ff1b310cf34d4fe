import type { Queryable } from '../store/database.ts';
import type { Denial } from './api-keys.ts';

export interface QuotaUse {
  readonly allowed: boolean;
  readonly denial?: Denial;
  readonly principal: string;
  /** Submissions per window; 0 means unlimited. */
  readonly limit: bigint;
  readonly used: bigint;
  /** Microseconds since 1970; undefined without a limit, and before the first submission. */
  readonly resetsUs?: bigint;
}

interface QuotaRow {
  readonly principal: string;
  readonly limit: bigint;
  readonly used: bigint;
  readonly revoked: boolean;
  /** Null for a key that was never used. */
  readonly resetsUs: bigint | null;
}

const COLUMNS = `
  principal, quota_limit as "limit", used, revoked_at is not null as revoked,
  (extract(epoch from window_started_at) * 1000000)::bigint + window_s * 1000000 as "resetsUs"`;

const WINDOW_IS_OVER = "(window_started_at is null or window_started_at + window_s * interval '1 second' <= now())";

/**
 * Counts one submission in one statement, so that no two callers can take the last place. A window is fixed: it begins
 * with the first submission of all, and then with the first after the one before has ended.
 */
export async function consumeQuota(db: Queryable, keyHash: string): Promise<QuotaUse> {
  const counted = await db.query<QuotaRow>(
    `update api_keys set
       used = case when ${WINDOW_IS_OVER} then 1 else used + 1 end,
       window_started_at = case when ${WINDOW_IS_OVER} then now() else window_started_at end
     where key_hash = $1 and revoked_at is null and (quota_limit = 0 or used < quota_limit or ${WINDOW_IS_OVER})
     returning ${COLUMNS}`,
    [keyHash],
  );
  if (counted.rows[0]) return useOf(counted.rows[0]);
  const { rows } = await db.query<QuotaRow>(`select ${COLUMNS} from api_keys where key_hash = $1`, [keyHash]);
  if (!rows[0]) return { allowed: false, denial: 'unknown', principal: '', limit: 0n, used: 0n };
  return useOf(rows[0], rows[0].revoked ? 'revoked' : 'quota exceeded');
}

function useOf({ principal, limit, used, resetsUs }: QuotaRow, denial?: Denial): QuotaUse {
  return {
    allowed: denial === undefined,
    principal,
    limit,
    used,
    ...(denial && { denial }),
    ...(limit > 0n && resetsUs !== null && { resetsUs }),
  };
}
