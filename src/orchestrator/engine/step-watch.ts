import { DBOS, type WorkflowStatusString } from '@dbos-inc/dbos-sdk';
import type { Log } from '../../shared/log.ts';
import type { StepFault } from '../runners/runner.ts';
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

  /** The engine drops a run when the database refuses its bookkeeping in a way that it does not know. */
  async function heal(): Promise<void> {
    const pending = await listEntries(['PENDING'], { executorId });
    const idle = pending.filter((requestId) => !isRunning(requestId));
    // Between taking an entry and running it there is a moment; only who is idle twice has been dropped.
    const dropped = idle.filter((requestId) => suspects.has(requestId));
    suspects = new Set(idle);
    if (dropped.length > 0) {
      log.warn({ dropped }, 'running steps again that the engine had dropped');
      await DBOS.resumeWorkflows(dropped, { queueName: QUEUE });
    }
    const broken = await listEntries(['ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']);
    for (const requestId of broken) await steps.finish(refOf(requestId), { fault: LOST });
    await DBOS.deleteWorkflows(broken);
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
    const finished = await listEntries(['SUCCESS', 'CANCELLED'], { completedBefore });
    await DBOS.deleteWorkflows(finished);
    removed += finished.length;
    if (finished.length < BATCH) return removed;
  }
}

/** The request ids of up to 500 entries of the queue. */
async function listEntries(
  status: WorkflowStatusString[],
  filter: { readonly executorId?: string; readonly completedBefore?: string } = {},
): Promise<string[]> {
  const entries = await DBOS.listWorkflows({
    status,
    workflowName: STEP_WORKFLOW,
    limit: BATCH,
    loadInput: false,
    loadOutput: false,
    ...filter,
  });
  return entries.map(({ workflowID }) => workflowID);
}

/** Runs `work` again and again, never twice at a time; what fails is tried again next time. */
function every(intervalMs: number, work: () => Promise<unknown>, log: Log): NodeJS.Timeout {
  let busy = false;
  return setInterval(() => {
    if (busy) return;
    busy = true;
    work()
      .catch((error: unknown) => log.debug({ err: error }, 'looking after the queue failed'))
      .finally(() => {
        busy = false;
      });
  }, intervalMs).unref();
}
