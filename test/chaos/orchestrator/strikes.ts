import { setTimeout as sleep } from 'node:timers/promises';
import type { Outage } from './evidence.ts';
import { FAULT_KINDS, type Fault, type FaultKind } from './faults.ts';
import type { Handovers } from './handovers.ts';
import type { Scene } from './scene.ts';

/** How long a strike waits for an orchestrator to have something to lose. */
const IDLE_MS = 1_500;
const LOOK_MS = 20;

export type Strikes = ReturnType<typeof createStrikes>;

/** Breaks what the plan says, and mends it. */
export function createStrikes({ orchestrators, gateways, proxies, postgres, observer }: Scene, handovers: Handovers) {
  const counts = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  const outages: Outage[] = [];
  const events: { readonly atMs: number; readonly text: string }[] = [];

  function tell(text: string): void {
    events.push({ atMs: performance.now(), text });
  }

  /** Resolves when it is mended; false when there was nothing to break. */
  async function strike(fault: Fault): Promise<boolean> {
    switch (fault.kind) {
      case 'gateway killed':
        return gateways[fault.target]!.kill(fault.forMs);
      case 'orchestrator killed':
        await untilBusy(fault.target);
        return kill(fault.target, fault.forMs);
      case 'orchestrator paused':
        await untilBusy(fault.target);
        return await suspend(fault, orchestrators[fault.target]!.pause, orchestrators[fault.target]!.resume);
      case 'orchestrator partitioned': {
        await untilBusy(fault.target);
        const proxy = proxies[fault.target]!;
        return await suspend(fault, () => proxy.part(fault.how), proxy.heal);
      }
      case 'Postgres killed':
        await killPostgres(fault.forMs);
        return true;
    }
  }

  async function untilBusy(target: number): Promise<void> {
    for (const deadline = performance.now() + IDLE_MS; performance.now() < deadline; await sleep(LOOK_MS)) {
      // While Postgres is away it may be struck all the same.
      const rows = await observer
        .query(`select from dbos.workflow_status where status = 'PENDING' and executor_id = $1 limit 1`, [
          orchestrators[target]!.executorId(),
        ])
        .catch(() => undefined);
      if (!rows || rows.length > 0) return;
    }
  }

  function kill(target: number, forMs: number): boolean {
    const orchestrator = orchestrators[target]!;
    const executorId = orchestrator.executorId();
    if (!orchestrator.kill(forMs)) return false;
    if (executorId) handovers.begin(`${orchestrator.name} killed`, executorId);
    return true;
  }

  async function suspend(
    { target, kind, forMs }: Fault & { readonly target: number },
    begin: () => unknown,
    end: () => unknown,
  ): Promise<boolean> {
    const { name, executorId } = orchestrators[target]!;
    const id = executorId();
    if (!id) return false;
    await begin();
    const handover = handovers.begin(`${name} ${kind.split(' ')[1]}`, id);
    await sleep(forMs);
    handover.untilMs = performance.now();
    await end();
    return true;
  }

  async function killPostgres(forMs: number): Promise<void> {
    const fromMs = performance.now();
    await postgres.kill();
    await sleep(forMs);
    await postgres.start();
    outages.push({ fromMs, untilMs: performance.now() });
  }

  return {
    counts: counts as Readonly<Record<FaultKind, number>>,
    outages: outages as readonly Outage[],
    /** What struck when, for a reader who looks for a fault. */
    events: events as readonly { readonly atMs: number; readonly text: string }[],

    async perform(fault: Fault): Promise<void> {
      const { atMs: _, kind, ...rest } = fault;
      tell(`${kind} ${JSON.stringify(rest)}`);
      if (await strike(fault)) counts[kind]++;
      if (!kind.endsWith('killed')) tell(`${kind} ${JSON.stringify(rest)}: healed`);
    },

    /** Waits until everything is there again. */
    async heal(): Promise<void> {
      await Promise.all([...orchestrators, ...gateways].map((program) => program.whenReady()));
    },
  };
}
