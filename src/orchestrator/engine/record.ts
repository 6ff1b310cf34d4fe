import type { Connection } from '../store/database.ts';
import { insertEvents } from '../store/events.ts';
import { advanceWorkflow, type State, type WorkflowRow } from '../store/workflows.ts';
import { type Change, encodeEvent } from '../wire.ts';

/**
 * Writes what has happened to a workflow, in order, inside the transaction that made it happen and holds the workflow's
 * lock: that is what makes event ids rise without a gap. Answers the workflow as it is now.
 */
export async function record(
  connection: Connection,
  workflowId: string,
  state: State,
  changes: readonly Change[],
): Promise<WorkflowRow> {
  const workflow = await advanceWorkflow(connection, workflowId, state, changes.length);
  const firstId = workflow.lastEventId - BigInt(changes.length) + 1n;
  const bodies = changes.map((change, index) => encodeEvent(workflow, firstId + BigInt(index), change));
  await insertEvents(connection, workflowId, firstId, bodies);
  return workflow;
}
