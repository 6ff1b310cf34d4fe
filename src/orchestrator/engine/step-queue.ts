import { DBOSClient } from '@dbos-inc/dbos-sdk';
import type { Log } from '../../shared/log.ts';
import type { ToolLimits } from '../config.ts';
import type { Connection, Database } from '../store/database.ts';
import { nextTurn } from '../store/engine-entries.ts';
import type { StepRow } from '../store/steps.ts';
import type { WorkflowRow } from '../store/workflows.ts';
import { APPLICATION, createDbosLog, queueOf, STEP_WORKFLOW, VERSION } from './dbos.ts';
import { requestIdOf } from './step-transitions.ts';

/** The engine's greatest number. */
const LAST_TURN = 2 ** 31 - 1;

/** The durable queue of steps to run. */
export interface StepQueue {
  /**
   * Enqueues each step's present attempt when the transaction on `connection` commits; it is taken after `delayMs`. The
   * steps of one owner are taken in the order of their coming, those of several owners in turn.
   */
  readonly enqueue: (
    connection: Connection,
    workflow: Pick<WorkflowRow, 'id' | 'owner'>,
    steps: readonly StepRow[],
    delayMs?: number,
  ) => Promise<void>;
  /** Tells running steps to stop, and takes waiting ones off the queue. Does not wait for either. */
  readonly cancel: (workflowId: string, steps: readonly StepRow[]) => void;
  readonly close: () => Promise<void>;
}

export interface StepQueueParts {
  readonly databaseUrl: string;
  readonly database: Pick<Database, 'pool'>;
  readonly limits: ToolLimits;
  readonly log: Log;
}

export async function createStepQueue({ databaseUrl, database, limits, log }: StepQueueParts): Promise<StepQueue> {
  const client = await DBOSClient.create({
    systemDatabaseUrl: databaseUrl,
    systemDatabasePool: database.pool,
    applicationName: APPLICATION,
    logger: createDbosLog(log),
  });

  const enqueue: StepQueue['enqueue'] = async (connection, { id: workflowId, owner }, steps, delayMs = 0) => {
    // The engine has no word for whose an entry is; this one is indexed, and has no other use in these queues.
    const queuePartitionKey = owner === null ? 'static' : `owner ${owner}`;
    const turns = new Map<string, number>();
    for (const { stepId, attempt, tool } of steps) {
      const { name: queueName } = queueOf(tool, limits);
      const turn = turns.get(queueName) ?? (await nextTurn(connection, queueName, queuePartitionKey));
      turns.set(queueName, turn + 1);
      const ref = { workflowId, stepId, attempt };
      await client.enqueueInTransaction(
        connection,
        {
          queueName,
          workflowName: STEP_WORKFLOW,
          workflowID: requestIdOf(ref),
          appVersion: VERSION,
          priority: Math.min(turn, LAST_TURN),
          queuePartitionKey,
          // In eighths of a second, which are whole milliseconds: the engine cannot store a part of one.
          ...(delayMs > 0 && { delaySeconds: Math.ceil(delayMs / 125) / 8 }),
        },
        ref,
      );
    }
  };

  const cancel: StepQueue['cancel'] = (workflowId, steps) => {
    const ids = steps.map(({ stepId, attempt }) => requestIdOf({ workflowId, stepId, attempt }));
    // Our own tables already say that the steps are cancelled, so that a lost message only delays the end of the work.
    client
      .cancelWorkflows(ids)
      .catch((error: unknown) => log.error({ err: error, workflow_id: workflowId }, 'could not cancel'));
  };

  return { enqueue, cancel, close: () => client.destroy() };
}
