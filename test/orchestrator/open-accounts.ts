import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { runApikeyCommand } from '../../src/orchestrator/accounts/apikey-command.ts';
import { startTestPostgres } from '../support/postgres.ts';
import { createScriptedRunner, eventually, type OrchestratorClient, startTestOrchestrator } from './harness.ts';

export const hashOf = (rawKey: string) => createHash('sha256').update(rawKey).digest('hex');

/** The reason that the contract names for machines. */
export const reasonOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema)[0]?.reason;

/** Keys, credits and what they leave in the database, on a connection of its own. */
export async function openAccounts(databaseUrl: string, client: OrchestratorClient) {
  const database = new pg.Client({ connectionString: databaseUrl });
  await database.connect();

  async function rows<T extends pg.QueryResultRow>(sql: string, ...values: unknown[]): Promise<T[]> {
    return (await database.query<T>(sql, values)).rows;
  }

  /** Runs `apikey` and answers the lines that it prints. */
  async function command(...args: string[]): Promise<string[]> {
    const lines: string[] = [];
    await runApikeyCommand(args, { databaseUrl, print: (line) => lines.push(line) });
    return lines;
  }

  /** The hash of a new key. */
  async function newKey(...args: string[]): Promise<string> {
    const [rawKey] = await command('create', ...args);
    return hashOf(rawKey!);
  }

  async function idOf(keyHash: string): Promise<string> {
    return (await rows<{ id: string }>('select id from api_keys where key_hash = $1', keyHash))[0]!.id;
  }

  /** Changes a key behind the program's back. */
  async function setKey(keyHash: string, assignments: string): Promise<void> {
    const { rowCount } = await database.query(`update api_keys set ${assignments} where key_hash = $1`, [keyHash]);
    assert.equal(rowCount, 1);
  }

  async function usedOf(keyHash: string): Promise<number> {
    return Number((await rows<{ used: string }>('select used from api_keys where key_hash = $1', keyHash))[0]!.used);
  }

  const grant = (principal: string, amount: bigint, idempotencyKey = '') =>
    client.grantCredits({ principal, amount, reason: 'grant:admin', idempotencyKey });
  const balance = async (principal: string) => (await client.getBalance({ principal })).balance;
  /** Oldest first. */
  const ledger = async (principal: string) => (await client.listLedger({ principal, limit: 200 })).entries.reverse();

  /** The ledger sums up to the balance, step by step, and never fell below zero. */
  async function checkLedger(principal: string): Promise<void> {
    let sum = 0n;
    for (const { delta, balanceAfter } of await ledger(principal)) {
      sum += delta;
      assert.equal(balanceAfter, sum);
      assert.ok(sum >= 0n);
    }
    assert.equal(await balance(principal), sum);
  }

  /** All that a submission leaves behind; the same before and after one that was refused. */
  async function footprint(): Promise<Record<string, number>> {
    const [counts] = await rows<Record<string, string>>(
      `select (select count(*) from workflows) as workflows, (select count(*) from steps) as steps,
         (select count(*) from idempotency_keys) as idempotency_keys, (select count(*) from ledger) as postings,
         (select coalesce(sum(balance), 0) from balances) as credits, (select coalesce(sum(used), 0) from api_keys) as used,
         (select count(*) from dbos.workflow_status
          where split_part(workflow_uuid, '/', 1) not in (select id from workflows)) as stray_runs`,
    );
    return Object.fromEntries(Object.entries(counts!).map(([name, count]) => [name, Number(count)]));
  }

  /** Locks rows from another connection until the answer is called. */
  async function hold(sql: string, ...values: unknown[]): Promise<() => Promise<void>> {
    const holder = new pg.Client({ connectionString: databaseUrl });
    await holder.connect();
    await holder.query('begin');
    await holder.query(sql, values);
    return () => holder.end();
  }

  /** The process id of the backend that waits for a lock on a row. */
  const blocked = () =>
    eventually('a transaction that waits for the lock', async () => {
      const [waiting] = await rows<{ pid: number }>(
        `select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      );
      return waiting?.pid;
    });

  return {
    rows,
    command,
    newKey,
    idOf,
    setKey,
    usedOf,
    grant,
    balance,
    ledger,
    checkLedger,
    footprint,
    hold,
    blocked,
    close: () => database.end(),
  };
}

export type Accounts = Awaited<ReturnType<typeof openAccounts>>;

export type AccountsWorld = Awaited<ReturnType<typeof startAccounts>>;

/** An orchestrator that debits credits, on a database of its own, with what leaves traces in it. */
export async function startAccounts(runner = createScriptedRunner()) {
  const postgres = await startTestPostgres();
  const databaseUrl = await postgres.createMigratedDatabase();
  const orchestrator = await startTestOrchestrator(databaseUrl, runner, { BILLING_ENABLED: 'true' });
  const accounts = await openAccounts(databaseUrl, orchestrator.client);
  return {
    databaseUrl,
    orchestrator,
    accounts,
    async close(): Promise<void> {
      await accounts.close();
      await orchestrator.close();
      await postgres.close();
    },
  };
}
