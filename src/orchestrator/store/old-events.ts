import type { Queryable } from './database.ts';

// What age counts from is the last change of the whole workflow, so one that has just ended keeps all of its history.
// The time is the database's own, like that of the change.
const OLDEST_KEPT = `now() - $1::double precision * interval '1 millisecond'`;
const OVER = `w.state in ('SUCCEEDED', 'FAILED', 'CANCELLED') and w.updated_at < ${OLDEST_KEPT}`;

/** Where a workflow stands in the order of submission. */
export interface Place {
  /** Microseconds since 1970. */
  readonly createdUs: bigint;
  readonly id: string;
}

const BEFORE_ALL: Place = { createdUs: 0n, id: '' };

export interface OldEventsPage {
  /** The workflows among those looked at that have events to delete. */
  readonly workflowIds: readonly string[];
  /** The last workflow that was looked at; undefined when there was none. */
  readonly last: Place | undefined;
}

/**
 * Looks at the next `limit` workflows after `after`, oldest first, for those that have been over for `ageMs` and still
 * have more than their last event. Reads along an index that no change of a workflow touches: one on the time of the
 * last change would have to be written with every event.
 */
export async function findOldEvents(
  db: Queryable,
  ageMs: number,
  limit: number,
  after: Place = BEFORE_ALL,
): Promise<OldEventsPage> {
  const { rows } = await db.query<Place & { old: boolean }>({
    text: `with page as (
       select w.id, w.created_at, ${OVER} and exists (
         select from events e where e.workflow_id = w.id and e.event_id < w.last_event_id) as old
       from workflows w
       where w.created_at < ${OLDEST_KEPT}
         and (w.created_at, w.id) > (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4)
       order by w.created_at, w.id limit $2)
     select id, (extract(epoch from created_at) * 1000000)::bigint as "createdUs", old from page
     where old or (created_at, id) = (select created_at, id from page order by created_at desc, id desc limit 1)
     order by created_at, id`,
    values: [ageMs, limit, after.createdUs, after.id],
  });
  const last = rows.at(-1);
  return {
    workflowIds: rows.filter(({ old }) => old).map(({ id }) => id),
    last: last && { createdUs: last.createdUs, id: last.id },
  };
}

/**
 * Deletes up to `limit` events of a workflow that has been over for `ageMs`, oldest first and never the last one; answers
 * how many. None when the workflow has changed meanwhile, or somebody else has it locked: nobody is waited for.
 */
export async function deleteOldEvents(
  db: Queryable,
  workflowId: string,
  ageMs: number,
  limit: number,
): Promise<number> {
  const { rowCount } = await db.query({
    text: `with over as (
       select w.id, w.last_event_id from workflows w where w.id = $2 and ${OVER} for update skip locked),
     oldest as (
       select e.event_id from events e join over on e.workflow_id = over.id and e.event_id < over.last_event_id
       order by e.event_id limit $3)
     delete from events e where e.workflow_id = $2 and e.event_id in (select event_id from oldest)`,
    values: [ageMs, workflowId, limit],
  });
  return rowCount ?? 0;
}
