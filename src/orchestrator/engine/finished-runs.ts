import { DBOS } from '@dbos-inc/dbos-sdk';

/** Has the durable engine, which must have been launched, forget those of the runs that are over. */
export async function forgetRuns(requestIds: readonly string[]): Promise<void> {
  const finished = await DBOS.listWorkflows({
    workflowIDs: [...requestIds],
    status: ['SUCCESS', 'CANCELLED', 'ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'],
    loadInput: false,
    loadOutput: false,
  });
  await DBOS.deleteWorkflows(finished.map(({ workflowID }) => workflowID));
}
