import { DBOS } from '@dbos-inc/dbos-sdk';

// The engine asks for them with one parameter each, of which a statement may have 65535.
const BATCH = 500;

/** Has the durable engine, which must have been launched, forget those of the runs that are over. */
export async function forgetRuns(requestIds: readonly string[]): Promise<void> {
  for (let index = 0; index < requestIds.length; index += BATCH) {
    const finished = await DBOS.listWorkflows({
      workflowIDs: requestIds.slice(index, index + BATCH),
      status: ['SUCCESS', 'CANCELLED', 'ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'],
      loadInput: false,
      loadOutput: false,
    });
    await DBOS.deleteWorkflows(finished.map(({ workflowID }) => workflowID));
  }
}
