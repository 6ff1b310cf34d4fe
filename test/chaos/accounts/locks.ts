import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Held } from './faults.ts';
import type { Plan } from './plan.ts';

/** How long a lock waits for a submission to wait for it: nobody may be about to send one. */
const WAITER_MS = 400;
/** Then it is held for so long that a few others come, too, and that an answer which did not wait would have arrived. */
const COMPANY_MS = 80;
/** An arbitrary number that sets the gate's advisory lock apart from others. */
const GATE = 737_055_199;

/**
 * Puts a gate before the commit of every transaction that adds a workflow: a deferred trigger is the last that happens
 * in it. The gate is open unless somebody holds its lock.
 */
export async function installCommitGate(client: pg.Client): Promise<void> {
  await client.query(`
    create schema chaos;
    create function chaos.pass_gate() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock_shared(${GATE}); return null; end';
    create constraint trigger chaos_gate after insert on workflows deferrable initially deferred
      for each row execute function chaos.pass_gate()`);
}

export interface LocksParts {
  readonly plan: Plan;
  /** SHA-256 by caller, in lower-case hex. */
  readonly keyHashes: readonly string[];
  /** A session that does nothing else. */
  readonly holder: pg.Client;
  readonly observer: pg.Client;
}

/** Locks that submissions run into half-way. One is held at a time. */
export function createLocks({ plan, keyHashes, holder, observer }: LocksParts) {
  function takeLock({ place, caller }: Held) {
    switch (place) {
      case 'quota':
        return holder.query('select 1 from api_keys where key_hash = $1 for update', [keyHashes[caller]]);
      case 'balance':
        return holder.query('select 1 from balances where principal = $1 for update', [
          plan.callers[caller]!.principal,
        ]);
      case 'commit':
        return holder.query('select pg_advisory_xact_lock($1)', [GATE]);
    }
  }

  async function isWaitedFor(): Promise<boolean> {
    const { rows } = await observer.query(
      "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() limit 1",
    );
    return rows.length > 0;
  }

  return {
    /** Answers whether somebody waits for the lock now. */
    async hold(held: Held): Promise<boolean> {
      await holder.query('begin');
      await takeLock(held);
      const deadlineMs = performance.now() + WAITER_MS;
      while (performance.now() < deadlineMs) {
        if (await isWaitedFor()) {
          await sleep(COMPANY_MS);
          return true;
        }
        await sleep(5);
      }
      return false;
    },

    async release(): Promise<void> {
      await holder.query('rollback');
    },
  };
}
