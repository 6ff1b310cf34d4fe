import { createHash, randomBytes } from 'node:crypto';
import { mintToken } from '../../shared/checksummed-token.ts';
import type { Queryable } from '../store/database.ts';
import { USED } from './key-standing.ts';

export const API_KEY_PREFIX = 'ffk';

export interface NewApiKey {
  readonly principal: string;
  /** Submissions per window; 0 means unlimited. */
  readonly limit: bigint;
  readonly windowSeconds: bigint;
  /** Null: never. */
  readonly expiresAt: Date | null;
  /** May read and watch, and change nothing. */
  readonly readOnly: boolean;
}

export interface ApiKeyRow extends NewApiKey {
  /** Public: names the key to operators. */
  readonly id: string;
  /** In the window that is open; 0 when none is. */
  readonly used: bigint;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

/** The raw key leaves here once; the database only ever sees its SHA-256. */
export async function createApiKey(db: Queryable, key: NewApiKey): Promise<{ id: string; rawKey: string }> {
  const id = randomBytes(6).toString('hex');
  const rawKey = mintToken(API_KEY_PREFIX);
  await db.query(
    `insert into api_keys (id, key_hash, principal, quota_limit, window_s, expires_at, read_only)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [id, hashKey(rawKey), key.principal, key.limit, key.windowSeconds, key.expiresAt, key.readOnly],
  );
  return { id, rawKey };
}

/** Oldest first. */
export async function listApiKeys(db: Queryable): Promise<ApiKeyRow[]> {
  const { rows } = await db.query<ApiKeyRow>(
    `select id, principal, read_only as "readOnly", quota_limit as "limit", window_s as "windowSeconds", ${USED} as used,
       created_at as "createdAt", last_used_at as "lastUsedAt", expires_at as "expiresAt", revoked_at as "revokedAt"
     from api_keys order by created_at, id`,
  );
  return rows;
}

/** False when there is no such key. Revoking twice keeps the first time. */
export async function revokeApiKey(db: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'update api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where id = $1',
    [id],
  );
  return rowCount === 1;
}

function hashKey(rawKey: string): string {
  return createHash('sha256').update(rawKey).digest('hex');
}
