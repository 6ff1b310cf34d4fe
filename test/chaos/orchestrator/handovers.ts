import { setTimeout as sleep } from 'node:timers/promises';
import type { Observer } from './observer.ts';

const LOOK_MS = 150;

/** What an orchestrator was running when it broke, and when others had it. Times are milliseconds. */
export interface Handover {
  /** Such as `orchestrator 2 killed`. */
  readonly what: string;
  readonly fromMs: number;
  /** When the orchestrator itself was back, and could go on. Infinite for one that was killed. */
  untilMs: number;
  /** Undefined until the database has answered. By request id: when it was taken. */
  steps: Map<string, number | undefined> | undefined;
}

export type Handovers = ReturnType<typeof watchHandovers>;

/** Looks in the engine's own table who runs what, all the time. */
export function watchHandovers(observer: Observer) {
  const watched: (Handover & { readonly executorId: string })[] = [];
  const stopping = new AbortController();
  let looking: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    const open = watched.filter(({ steps, untilMs }) => {
      const isOpen = !steps || [...steps.values()].includes(undefined);
      return isOpen && untilMs > performance.now();
    });
    for (const handover of open) {
      if (!handover.steps) await begin(handover);
      else await lookAgain(handover, handover.steps);
    }
  }

  async function begin(handover: (typeof watched)[number]): Promise<void> {
    const rows = await observer.query<{ id: string }>(
      `select workflow_uuid as id from dbos.workflow_status where executor_id = $1 and status = 'PENDING'`,
      [handover.executorId],
    );
    handover.steps = new Map(rows.map(({ id }) => [id, undefined]));
  }

  /** A step is taken when another executor runs it, or nobody has to any more. */
  async function lookAgain({ executorId }: (typeof watched)[number], steps: Map<string, number | undefined>) {
    const ids = [...steps].flatMap(([id, takenMs]) => (takenMs === undefined ? [id] : []));
    const rows = await observer.query<{ id: string }>(
      `select workflow_uuid as id from dbos.workflow_status
       where workflow_uuid = any($1) and (status in ('ENQUEUED', 'DELAYED') or (status = 'PENDING' and executor_id = $2))`,
      [ids, executorId],
    );
    const left = new Set(rows.map(({ id }) => id));
    for (const id of ids) if (!left.has(id)) steps.set(id, performance.now());
  }

  async function lookOnAndOn(): Promise<void> {
    while (!stopping.signal.aborted) {
      // While Postgres is away nobody takes anything.
      await look().catch(() => {});
      await sleep(LOOK_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }
  looking = lookOnAndOn();

  return {
    all: watched as readonly Handover[],
    /** Call it when the orchestrator has just broken. */
    begin(what: string, executorId: string): Handover {
      const handover = { what, executorId, fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY };
      const added = { ...handover, steps: undefined };
      watched.push(added);
      return added;
    },
    /** Whether there is nothing left to wait for. */
    async areOver(): Promise<boolean> {
      return watched.every(
        ({ steps, untilMs }) =>
          untilMs < Number.POSITIVE_INFINITY || (steps && ![...steps.values()].includes(undefined)),
      );
    },
    async close(): Promise<void> {
      stopping.abort();
      await looking;
    },
  };
}
