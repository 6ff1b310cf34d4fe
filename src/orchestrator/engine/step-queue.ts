import { DBOSClient } from '@dbos-inc/dbos-sdk';
import type { Log } from '../../shared/log.ts';
import type { Connection, Database } from '../store/database.ts';
import type { StepRow } from '../store/steps.ts';
import { APPLICATION, createDbosLog, QUEUE, STEP_WORKFLOW, VERSION } from './dbos.ts';
import { requestIdOf } from './step-transitions.ts';

/** The durable queue of steps to run. */
export interface StepQueue {
  /** Enqueues each step's present attempt when the transaction on `connection` commits. */
  readonly enqueue: (connection: Connection, workflowId: string, steps: readonly StepRow[]) => Promise<void>;
  /** Tells running steps to stop, and takes waiting ones off the queue. Does not wait for either. */
  readonly cancel: (workflowId: string, steps: readonly StepRow[]) => void;
  readonly close: () => Promise<void>;
}

export async function createStepQueue(databaseUrl: string, { pool }: Database, log: Log): Promise<StepQueue> {
  const client = await DBOSClient.create({
    systemDatabaseUrl: databaseUrl,
    systemDatabasePool: pool,
    applicationName: APPLICATION,
    logger: createDbosLog(log),
  });

  const enqueue: StepQueue['enqueue'] = async (connection, workflowId, steps) => {
    for (const { stepId, attempt } of steps) {
      const ref = { workflowId, stepId, attempt };
      await client.enqueueInTransaction(
        connection,
        { queueName: QUEUE, workflowName: STEP_WORKFLOW, workflowID: requestIdOf(ref), appVersion: VERSION },
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
