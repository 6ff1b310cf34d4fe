import { setTimeout as sleep } from 'node:timers/promises';
import { runApikeyCommand } from '../../../src/orchestrator/accounts/apikey-command.ts';
import { within } from '../../support/waiting.ts';
import { FAULT_KINDS, type Fault, type FaultKind } from './faults.ts';
import { createLocks } from './locks.ts';
import type { Plan } from './plan.ts';
import { type Scene, SESSION_NAME } from './scene.ts';

/** What breaks is given so long before the lock goes, in milliseconds: a signal, or bytes on their way. */
const STRIKE_MS = 20;
const HEAL_MS = 20_000;

const ENDED: Readonly<Record<(Fault & { kind: 'sessions ended' })['which'], string>> = {
  one: "application_name like 'foldforge-orchestrator calls %'",
  'in a transaction': "xact_start is not null and state <> 'idle'",
  all: 'true',
};

interface StruckEvent {
  readonly atMs: number;
  readonly text: string;
}

export type Strikes = ReturnType<typeof createStrikes>;

/** Breaks what the plan says, and mends it. */
export function createStrikes(plan: Plan, scene: Scene) {
  const { observer, cable, replicas, orchestrator, databaseUrl, keyHashes } = scene;
  const locks = createLocks({ plan, ...scene });
  const counts = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  const events: StruckEvent[] = [];
  let revocation: { caller: number; begunMs: number; doneMs: number } | undefined;
  let gatewaysBack: Promise<unknown> = Promise.resolve();
  let orchestratorBack: Promise<unknown> = Promise.resolve();
  let amid = 0;

  function describe({ held, ...fault }: Fault, isAmid: boolean): string {
    if (!held || !isAmid) return JSON.stringify(fault);
    const what = held.place === 'commit' ? 'its commit' : `the ${held.place} of ${plan.callers[held.caller]!.name}`;
    return `${JSON.stringify(fault)}, while a submission waits for ${what}`;
  }

  async function strike(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case 'gateway killed':
      case 'gateway terminated':
        counts[fault.kind] += fault.replicas.length;
        gatewaysBack = restartAll(fault.replicas, fault.kind === 'gateway killed' ? 'SIGKILL' : 'SIGTERM');
        return;
      case 'orchestrator killed':
      case 'orchestrator terminated':
        counts[fault.kind]++;
        orchestratorBack = orchestrator.restart(fault.kind === 'orchestrator killed' ? 'SIGKILL' : 'SIGTERM');
        orchestratorBack.catch(() => {});
        return;
      case 'connection cut':
        if (fault.position === 'next' || !cable.cutOpen(fault.cut, fault.position)) cable.cutNext(fault.cut);
        return;
      case 'sessions ended':
        counts[fault.kind] += await endSessions(fault);
        return;
      case 'key revoked':
        counts[fault.kind]++;
        await revoke(fault.caller);
    }
  }

  function restartAll(indexes: readonly number[], signal: 'SIGKILL' | 'SIGTERM'): Promise<unknown> {
    const back = Promise.all(indexes.map((index) => replicas[index]!.restart(signal)));
    back.catch(() => {});
    return back;
  }

  async function endSessions({ which, position }: Fault & { kind: 'sessions ended' }): Promise<number> {
    const { rows } = await observer.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and application_name <> $1
       and ${ENDED[which]} order by pid`,
      [SESSION_NAME],
    );
    const chosen = which === 'one' ? rows.slice(Math.floor(position * rows.length)).slice(0, 1) : rows;
    for (const { pid } of chosen) await observer.query('select pg_terminate_backend($1)', [pid]);
    return chosen.length;
  }

  async function revoke(caller: number): Promise<void> {
    const { rows } = await observer.query<{ id: string }>('select id from api_keys where key_hash = $1', [
      keyHashes[caller],
    ]);
    const begunMs = performance.now();
    revocation = { caller, begunMs, doneMs: Number.POSITIVE_INFINITY };
    await runApikeyCommand(['revoke', rows[0]!.id], { databaseUrl, print: () => {} });
    revocation = { caller, begunMs, doneMs: performance.now() };
  }

  return {
    counts: (): Readonly<Record<FaultKind, number>> => ({ ...counts, 'connection cut': cable.cuts() }),
    /** How many of them struck while a submission was known to be in the middle of its transaction. */
    amid: () => amid,
    /** What struck when, for a reader who looks for a fault. */
    events: events as readonly StruckEvent[],
    revocation: () => revocation,

    /**
     * Ends when the fault has struck; what it has killed comes back by itself. `look` is called in the moment before, while
     * the lock is held.
     */
    async perform(fault: Fault, look: () => Promise<void>): Promise<void> {
      await orchestratorBack;
      if ('replicas' in fault) await gatewaysBack;
      const isAmid = fault.held !== undefined && (await locks.hold(fault.held));
      if (isAmid) amid++;
      await look();
      events.push({ atMs: performance.now(), text: describe(fault, isAmid) });
      const striking = strike(fault);
      if (fault.held) {
        // The strike may wait for the lock itself.
        await Promise.race([striking, sleep(STRIKE_MS)]);
        await sleep(STRIKE_MS);
        await locks.release();
      }
      await striking;
    },

    /** Waits until everything is there again. */
    async heal(): Promise<void> {
      await within('everything to be back', Promise.all([gatewaysBack, orchestratorBack]), HEAL_MS);
    },
  };
}
