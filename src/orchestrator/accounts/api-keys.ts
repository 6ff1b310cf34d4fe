import { createHash, randomBytes } from 'node:crypto';
import { mintToken } from '../../shared/checksummed-token.ts';
import type { Queryable } from '../store/database.ts';

export const API_KEY_PREFIX = 'ffk';

export interface ApiKeyRow {
  /** Public: names the key to operators. */
  readonly id: string;
  readonly principal: string;
  /** Submissions per window; 0 means unlimited. */
  readonly limit: bigint;
  readonly windowSeconds: bigint;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

const COLUMNS = `
  id, principal, quota_limit as "limit", window_s as "windowSeconds", created_at as "createdAt",
  last_used_at as "lastUsedAt", revoked_at as "revokedAt"`;

export interface NewApiKey {
  readonly principal: string;
  readonly limit: bigint;
  readonly windowSeconds: bigint;
}

/** The raw key leaves here once; the database only ever sees its SHA-256. */
export async function createApiKey(db: Queryable, key: NewApiKey): Promise<{ id: string; rawKey: string }> {
  const id = randomBytes(6).toString('hex');
  const rawKey = mintToken(API_KEY_PREFIX);
  await db.query('insert into api_keys (id, key_hash, principal, quota_limit, window_s) values ($1, $2, $3, $4, $5)', [
    id,
    hashKey(rawKey),
    key.principal,
    key.limit,
    key.windowSeconds,
  ]);
  return { id, rawKey };
}

/** Oldest first. */
export async function listApiKeys(db: Queryable): Promise<ApiKeyRow[]> {
  const { rows } = await db.query<ApiKeyRow>(`select ${COLUMNS} from api_keys order by created_at, id`);
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

export type Denial = 'unknown' | 'revoked' | 'quota exceeded';

export type Authentication =
  | { readonly allowed: true; readonly principal: string }
  | { readonly allowed: false; readonly denial: Denial; readonly principal: string };

/** Says whose key it is. Remembers, at most once a minute, that it was used. */
export async function authenticateKey(db: Queryable, keyHash: string): Promise<Authentication> {
  const { rows } = await db.query<{ id: string; principal: string; revoked: boolean; stale: boolean }>(
    `select id, principal, revoked_at is not null as revoked,
            last_used_at is null or last_used_at < now() - interval '1 minute' as stale
     from api_keys where key_hash = $1`,
    [keyHash],
  );
  const key = rows[0];
  if (!key) return { allowed: false, denial: 'unknown', principal: '' };
  if (key.revoked) return { allowed: false, denial: 'revoked', principal: key.principal };
  if (key.stale) await db.query('update api_keys set last_used_at = now() where id = $1', [key.id]);
  return { allowed: true, principal: key.principal };
}
