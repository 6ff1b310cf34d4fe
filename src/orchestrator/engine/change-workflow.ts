import { createKeyedLock } from '../../shared/keyed-lock.ts';
import type { Connection, Database } from '../store/database.ts';

/** Runs `work`, which begins with the lock of this workflow's row, in one transaction. */
export type ChangeWorkflow = <T>(workflowId: string, work: (connection: Connection) => Promise<T>) => Promise<T>;

/**
 * Has the changes of one workflow wait for each other here rather than in the database, where each of them would keep a
 * connection: a fan-out whose workflow somebody else has locked would leave none for others.
 */
export function createChangeWorkflow({ transaction }: Pick<Database, 'transaction'>): ChangeWorkflow {
  const alone = createKeyedLock();
  return (workflowId, work) => alone(workflowId, () => transaction(work));
}
