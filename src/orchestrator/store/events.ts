import type { Connection, Queryable } from './database.ts';
import type { State } from './workflows.ts';

export const EVENTS_CHANNEL = 'foldforge_events';

// Whoever follows a workflow must hear within seconds that this replica has lost the database.
const READ_TIMEOUT_MS = 5_000;

/** Stores the events `firstId`, `firstId` + 1, …, and wakes those who follow the workflow once this is committed. */
export async function insertEvents(
  connection: Connection,
  workflowId: string,
  firstId: bigint,
  bodies: readonly Uint8Array[],
): Promise<void> {
  await connection.query(
    `with inserted as (
       insert into events (workflow_id, event_id, body)
       select $1, $2 + position - 1, body from unnest($3::bytea[]) with ordinality as list(body, position))
     select pg_notify($4, $1)`,
    [workflowId, firstId, bodies, EVENTS_CHANNEL],
  );
}

export interface EventBatch {
  /** WorkflowEvents as protobuf bytes, with ids after the cursor, rising. */
  readonly bodies: readonly Uint8Array[];
  /** At the moment of reading. */
  readonly workflow: { readonly state: State; readonly lastEventId: bigint };
}

/**
 * Reads up to `limit` events after `cursor`, and none after `maxBytes` of them; one event may be larger than that.
 * Undefined when the workflow does not exist.
 */
export async function readEvents(
  db: Queryable,
  workflowId: string,
  cursor: bigint,
  { limit, maxBytes }: { readonly limit: number; readonly maxBytes: number },
): Promise<EventBatch | undefined> {
  const { rows } = await db.query<{ eventId: bigint | null; body: Uint8Array; state: State; lastEventId: bigint }>({
    name: 'events after a cursor',
    query_timeout: READ_TIMEOUT_MS,
    text: `with next as (
       select event_id, body from events where workflow_id = $1 and event_id > $2 order by event_id limit $3),
     measured as (
       select event_id, body, sum(octet_length(body)) over (order by event_id) - octet_length(body) as bytes_before
       from next)
     select m.event_id as "eventId", m.body, w.state, w.last_event_id as "lastEventId"
     from workflows w left join measured m on m.bytes_before < $4
     where w.id = $1 order by m.event_id`,
    values: [workflowId, cursor, limit, maxBytes],
  } as { text: string; values: unknown[] });
  if (!rows[0]) return undefined;
  const { state, lastEventId } = rows[0];
  const bodies = rows.filter(({ eventId }) => eventId !== null).map(({ body }) => body);
  return { bodies, workflow: { state, lastEventId } };
}
