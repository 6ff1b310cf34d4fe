import type { Connection, Queryable } from './database.ts';
import type { State } from './workflows.ts';

export const EVENTS_CHANNEL = 'foldforge_events';

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
  /** The id of the last of them, or the cursor. */
  readonly lastId: bigint;
  /** At the moment of reading. */
  readonly workflow: { readonly state: State; readonly lastEventId: bigint };
}

/** Reads up to `limit` events after `cursor`. Undefined when the workflow does not exist. */
export async function readEvents(
  db: Queryable,
  workflowId: string,
  cursor: bigint,
  limit: number,
): Promise<EventBatch | undefined> {
  const { rows } = await db.query<{ eventId: bigint | null; body: Uint8Array; state: State; lastEventId: bigint }>(
    `select e.event_id as "eventId", e.body, w.state, w.last_event_id as "lastEventId"
     from workflows w left join events e on e.workflow_id = w.id and e.event_id > $2
     where w.id = $1 order by e.event_id limit $3`,
    [workflowId, cursor, limit],
  );
  if (!rows[0]) return undefined;
  const { state, lastEventId } = rows[0];
  const events = rows.filter(({ eventId }) => eventId !== null);
  return {
    bodies: events.map(({ body }) => body),
    lastId: events.at(-1)?.eventId ?? cursor,
    workflow: { state, lastEventId },
  };
}
