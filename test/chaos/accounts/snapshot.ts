import type pg from 'pg';

/** What the database holds, at one moment. Money is in credits. */
export interface Snapshot {
  readonly workflows: readonly StoredWorkflow[];
  readonly keys: readonly StoredKey[];
  /** By principal. */
  readonly balances: ReadonlyMap<string, number>;
  /** In the order of posting. */
  readonly ledger: readonly StoredEntry[];
}

export interface StoredWorkflow {
  readonly id: string;
  /** Null: the static token's. */
  readonly owner: string | null;
  readonly state: string;
  /** The labels that it was submitted with; null when there is none of that name. */
  readonly order: string | null;
  readonly body: string | null;
  readonly steps: number;
  readonly succeeded: number;
}

export interface StoredKey {
  readonly id: string;
  /** Lower-case hex SHA-256 of the key. */
  readonly hash: string;
  readonly used: number;
}

export interface StoredEntry {
  readonly principal: string;
  readonly delta: number;
  readonly reason: string;
  readonly balanceAfter: number;
}

const WORKFLOWS = `
  select w.id, w.owner, w.state, w.labels->>'order' as "order", w.labels->>'body' as body, count(s)::integer as steps,
         (count(s) filter (where s.state = 'SUCCEEDED'))::integer as succeeded
  from workflows w left join steps s on s.workflow_id = w.id group by w.id`;
const KEYS = 'select id, key_hash as hash, used::float8 as used from api_keys';
const BALANCES = 'select principal, balance::float8 as balance from balances';
const LEDGER = `
  select principal, delta::float8 as delta, reason, balance_after::float8 as "balanceAfter" from ledger order by id`;

/** All of it from one moment, however much is under way. */
export async function takeSnapshot(client: pg.Client): Promise<Snapshot> {
  await client.query('begin isolation level repeatable read read only');
  const workflows = await client.query<StoredWorkflow>(WORKFLOWS);
  const keys = await client.query<StoredKey>(KEYS);
  const balances = await client.query<{ principal: string; balance: number }>(BALANCES);
  const ledger = await client.query<StoredEntry>(LEDGER);
  await client.query('commit');
  return {
    workflows: workflows.rows,
    keys: keys.rows,
    balances: new Map(balances.rows.map(({ principal, balance }) => [principal, balance])),
    ledger: ledger.rows,
  };
}
