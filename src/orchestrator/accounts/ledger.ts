import { Code, ConnectError } from '@connectrpc/connect';
import { insufficientCredits } from '../errors.ts';
import type { Connection, Queryable } from '../store/database.ts';

export interface LedgerRow {
  /** Credits; negative for a debit. */
  readonly delta: bigint;
  readonly reason: string;
  readonly balanceAfter: bigint;
  /** Microseconds since 1970. */
  readonly createdUs: bigint;
}

export interface Posting {
  readonly principal: string;
  /** Credits; negative for a debit. */
  readonly delta: bigint;
  readonly reason: string;
  /** The ledger takes each key once. */
  readonly idempotencyKey: string;
}

export interface Posted {
  /** Credits, afterwards. */
  readonly balance: bigint;
  /** The key was posted before, so nothing has changed. */
  readonly replayed: boolean;
}

/**
 * Posts to the ledger inside the caller's transaction, which then has the principal's balance locked. Throws
 * INSUFFICIENT_CREDITS when the balance would fall below zero, and ALREADY_EXISTS when the key was used for another posting.
 */
export async function post(connection: Connection, posting: Posting): Promise<Posted> {
  const { principal, delta, reason, idempotencyKey } = posting;
  const before = await lockBalance(connection, principal);
  if (before + delta < 0n) {
    if (await wasPosted(connection, posting)) return { balance: before, replayed: true };
    throw insufficientCredits(before, -delta);
  }
  const { rows } = await connection.query<{ balance: bigint }>(
    `with posted as (
       insert into ledger (principal, delta, reason, balance_after, idempotency_key) values ($1, $2, $3, $4, $5)
       on conflict (idempotency_key) do nothing returning principal, balance_after)
     update balances b set balance = posted.balance_after from posted where b.principal = posted.principal
     returning b.balance`,
    [principal, delta, reason, before + delta, idempotencyKey],
  );
  if (rows[0]) return { balance: rows[0].balance, replayed: false };
  if (await wasPosted(connection, posting)) return { balance: before, replayed: true };
  throw new Error('the ledger has neither taken a posting nor had it');
}

async function lockBalance(connection: Connection, principal: string): Promise<bigint> {
  const lock = () =>
    connection.query<{ balance: bigint }>('select balance from balances where principal = $1 for update', [principal]);
  const { rows } = await lock();
  if (rows[0]) return rows[0].balance;
  await connection.query('insert into balances (principal) values ($1) on conflict do nothing', [principal]);
  return (await lock()).rows[0]!.balance;
}

async function wasPosted(connection: Connection, { principal, delta, idempotencyKey }: Posting): Promise<boolean> {
  const { rows } = await connection.query<{ principal: string; delta: bigint }>(
    'select principal, delta from ledger where idempotency_key = $1',
    [idempotencyKey],
  );
  if (!rows[0]) return false;
  if (rows[0].principal === principal && rows[0].delta === delta) return true;
  throw new ConnectError('the idempotency key was used for another posting', Code.AlreadyExists);
}

/** Credits; 0 for a principal that nobody has heard of. */
export async function balanceOf(db: Queryable, principal: string): Promise<bigint> {
  const { rows } = await db.query<{ balance: bigint }>('select balance from balances where principal = $1', [
    principal,
  ]);
  return rows[0]?.balance ?? 0n;
}

/** Newest first. */
export async function listLedger(db: Queryable, principal: string, limit: number): Promise<LedgerRow[]> {
  const { rows } = await db.query<LedgerRow>(
    `select delta, reason, balance_after as "balanceAfter",
            (extract(epoch from created_at) * 1000000)::bigint as "createdUs"
     from ledger where principal = $1 order by id desc limit $2`,
    [principal, limit],
  );
  return rows;
}
