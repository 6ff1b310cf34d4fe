import { DBOS, type WorkflowStatus, type WorkflowStatusString } from '@dbos-inc/dbos-sdk';
import type { Log } from '../../shared/log.ts';
import type { StepFault } from '../runners/runner.ts';
import { isDatabaseAway } from '../store/database.ts';
import { QUEUE, STEP_WORKFLOW } from './dbos.ts';
import { refOf, type StepTransitions } from './step-transitions.ts';

const HEAL_INTERVAL_MS = 2_000;
const SWEEP_INTERVAL_MS = 60_000;
const BATCH = 500;

const LOST: StepFault = { code: 'INTERNAL', message: 'the engine gave this step up', retryable: true };

export interface StepWatchParts {
  readonly executorId: string;
  /** Whether a step is being run in this process right now. */
  readonly isRunning: (requestId: string) => boolean;
  readonly steps: StepTransitions;
  readonly log: Log;
}

/** Looks after what the durable queue itself does not: runs that it has dropped, and entries that are of no more use. */
export function startStepWatch({ executorId, isRunning, steps, log }: StepWatchParts): { readonly close: () => void } {
  let suspects: ReadonlySet<string> = new Set();
  /** Entries that could not be handled, each of which is told of once. */
  const toldOf = new Set<string>();

  /** The engine drops a run when the database refuses its bookkeeping in a way that it does not know. */
  async function heal(): Promise<void> {
    const pending = await listAllPending(executorId);
    const idle = pending.filter(({ workflowID }) => !isRunning(workflowID));
    // Between taking an entry and running it there is a moment; only who is idle twice has been dropped.
    const dropped = idle.filter(({ workflowID }) => suspects.has(workflowID));
    suspects = new Set(idle.map(({ workflowID }) => workflowID));
    for (const [queueName = QUEUE, entries] of Map.groupBy(dropped, (entry) => entry.queueName)) {
      const requestIds = entries.map(({ workflowID }) => workflowID);
      log.warn({ step_runs: requestIds }, 'running steps again that the engine had dropped');
      await DBOS.resumeWorkflows(requestIds, { queueName });
    }
    for (let left = 0; ; ) {
      const broken = idsOf(await listEntries(['ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'], { offset: left }));
      const handled: string[] = [];
      for (const requestId of broken) if (await giveUp(requestId)) handled.push(requestId);
      if (handled.length > 0) await DBOS.deleteWorkflows(handled);
      left += broken.length - handled.length;
      if (broken.length < BATCH) return;
    }
  }

  /** Fails the step of an entry. False when that did not work: the entry stays, and is not in the way of the others. */
  async function giveUp(requestId: string): Promise<boolean> {
    try {
      await steps.finish(refOf(requestId), { fault: LOST });
      return true;
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      if (!toldOf.has(requestId)) log.warn({ err: error, step_run: requestId }, 'an entry of the queue is of no use');
      toldOf.add(requestId);
      return false;
    }
  }

  const healing = every(HEAL_INTERVAL_MS, heal, log);
  const sweeping = every(SWEEP_INTERVAL_MS, () => sweep(Date.now() - SWEEP_INTERVAL_MS), log);
  return {
    close() {
      clearInterval(healing);
      clearInterval(sweeping);
    },
  };
}

/** Removes entries that had finished before `beforeMs` (milliseconds since 1970): our own tables tell what came of them. */
export async function sweep(beforeMs: number): Promise<number> {
  const completedBefore = new Date(beforeMs).toISOString();
  for (let removed = 0; ; ) {
    const finished = idsOf(await listEntries(['SUCCESS', 'CANCELLED'], { completedBefore }));
    await DBOS.deleteWorkflows(finished);
    removed += finished.length;
    if (finished.length < BATCH) return removed;
  }
}

async function listAllPending(executorId: string): Promise<WorkflowStatus[]> {
  const all: WorkflowStatus[] = [];
  for (;;) {
    const page = await listEntries(['PENDING'], { executorId, offset: all.length });
    all.push(...page);
    if (page.length < BATCH) return all;
  }
}

/** Up to 500 entries of the queues. */
function listEntries(
  status: WorkflowStatusString[],
  filter: { readonly executorId?: string; readonly completedBefore?: string; readonly offset?: number } = {},
): Promise<WorkflowStatus[]> {
  return DBOS.listWorkflows({
    status,
    workflowName: STEP_WORKFLOW,
    limit: BATCH,
    loadInput: false,
    loadOutput: false,
    ...filter,
  });
}

/** The request ids of the steps. */
function idsOf(entries: readonly WorkflowStatus[]): string[] {
  return entries.map(({ workflowID }) => workflowID);
}

/** Runs `work` again and again, never twice at a time; what fails is tried again next time. */
function every(intervalMs: number, work: () => Promise<unknown>, log: Log): NodeJS.Timeout {
  let busy = false;
  return setInterval(() => {
    if (busy) return;
    busy = true;
    work()
      .catch((error: unknown) => log.warn({ err: error }, 'looking after the queue failed'))
      .finally(() => {
        busy = false;
      });
  }, intervalMs).unref();
}
