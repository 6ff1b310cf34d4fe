import type { Queryable } from './database.ts';

// The durable engine's own table. What it must look like is that of the version which package.json pins; a test runs
// these statements against it.

/**
 * Puts everything that an executor is running back into its queue. Without its token (`owner_xid`) a run that goes on all
 * the same cannot record anything any more. Answers the ids of the entries.
 */
export async function releaseEntries(db: Queryable, executorId: string): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `update dbos.workflow_status
     set status = 'ENQUEUED', owner_xid = null, started_at_epoch_ms = null,
         updated_at = (extract(epoch from now()) * 1000)::bigint
     where status = 'PENDING' and executor_id = $1 and queue_name is not null returning workflow_uuid as id`,
    [executorId],
  );
  return rows.map(({ id }) => id);
}

/**
 * The number in line that is fair to all owners (start-time fair queueing; the engine takes the least first): one more than
 * the owner's last entry that waits, and no less than the first of all.
 */
export async function nextTurn(db: Queryable, queueName: string, owner: string): Promise<number> {
  const { rows } = await db.query<{ turn: number }>(
    `select greatest(
       (select min(priority) from dbos.workflow_status where queue_name = $1 and status = 'ENQUEUED'),
       1 + (select max(priority) from dbos.workflow_status
            where queue_name = $1 and status = 'ENQUEUED' and queue_partition_key = $2), 1) as turn`,
    [queueName, owner],
  );
  return rows[0]!.turn;
}

export interface QueueDepth {
  readonly queue: string;
  readonly state: 'waiting' | 'running' | 'delayed';
  readonly entries: number;
}

/** How many entries each queue has, of all replicas. */
export async function readQueueDepths(db: Queryable): Promise<QueueDepth[]> {
  const { rows } = await db.query<QueueDepth>(
    `select queue_name as queue,
            case status when 'ENQUEUED' then 'waiting' when 'PENDING' then 'running' else 'delayed' end as state,
            count(*)::integer as entries
     from dbos.workflow_status
     where (status in ('ENQUEUED', 'PENDING') or status = 'DELAYED') and queue_name like 'steps%' group by 1, 2`,
  );
  return rows;
}
