import type { Queryable } from './database.ts';
import type { Place } from './old-events.ts';

// What age counts from is the last change of the workflow. While an idempotency key names it, it stays: its submission
// may still be repeated. (Of "not exists" the planner may make a look at all keys.)
const OLDEST_KEPT = `now() - $1::double precision * interval '1 millisecond'`;
const DISPENSABLE = `w.state in ('SUCCEEDED', 'FAILED', 'CANCELLED') and w.updated_at < ${OLDEST_KEPT}
  and (select i.workflow_id from idempotency_keys i where i.workflow_id = w.id limit 1) is null`;

const BEFORE_ALL: Place = { createdUs: 0n, id: '' };

export interface OldWorkflowsPage {
  /** Those among the ones looked at that may go, oldest first. */
  readonly workflowIds: readonly string[];
  /** Those of them that have more events than go at a time. */
  readonly longIds: readonly string[];
  /** The last workflow that was looked at; undefined when there was none. */
  readonly last: Place | undefined;
}

/** Looks at the next `limit` workflows after `after`, oldest first, for those that have been over for `ageMs`. */
export async function findOldWorkflows(
  db: Queryable,
  ageMs: number,
  { limit, maxEvents }: { readonly limit: number; readonly maxEvents: number },
  after: Place = BEFORE_ALL,
): Promise<OldWorkflowsPage> {
  const { rows } = await db.query<Place & { old: boolean; long: boolean }>({
    text: `with page as (
       select w.id, w.created_at, ${DISPENSABLE} as old, w.last_event_id > $5 as long from workflows w
       where w.created_at < ${OLDEST_KEPT}
         and (w.created_at, w.id) > (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4)
       order by w.created_at, w.id limit $2)
     select id, (extract(epoch from created_at) * 1000000)::bigint as "createdUs", old, long from page
     where old or (created_at, id) = (select created_at, id from page order by created_at desc, id desc limit 1)
     order by created_at, id`,
    values: [ageMs, limit, after.createdUs, after.id, maxEvents],
  });
  const old = rows.filter((row) => row.old);
  const last = rows.at(-1);
  return {
    workflowIds: old.map(({ id }) => id),
    longIds: old.filter(({ long }) => long).map(({ id }) => id),
    last: last && { createdUs: last.createdUs, id: last.id },
  };
}

export interface DeletedWorkflows {
  readonly count: number;
  /** Every attempt of every step of theirs. */
  readonly attempts: readonly StepAttempt[];
}

export interface StepAttempt {
  readonly workflowId: string;
  readonly stepId: string;
  readonly attempt: number;
}

/**
 * Deletes those of the workflows that have been over for `ageMs` and have at most `maxEvents` events, with all that is
 * theirs but the ledger; their artifacts go on the list of those to delete. One that has changed meanwhile, or that
 * somebody else has locked, stays: nobody is waited for.
 */
export async function deleteOldWorkflows(
  db: Queryable,
  workflowIds: readonly string[],
  ageMs: number,
  maxEvents: number,
): Promise<DeletedWorkflows> {
  const { rows } = await db.query<{ count: number; attempts: StepAttempt[] }>({
    text: `with old as materialized (
       select w.id from workflows w
       where w.id = any($2) and ${DISPENSABLE}
         and not exists (select from events e where e.workflow_id = w.id offset $3)
       for update skip locked),
     made as (
       select a->>'uri' as uri, max((a->>'sizeBytes')::bigint) as bytes
       from old join steps s on s.workflow_id = old.id, jsonb_array_elements(s.output->'artifacts') as a group by 1),
     released as (
       insert into artifacts_to_delete (uri, bytes) select uri, bytes from made order by uri
       on conflict (uri) do update set released_at = excluded.released_at),
     gone as (delete from workflows w using old where w.id = old.id returning w.id)
     select (select count(*)::integer from gone) as count,
       coalesce((
         select jsonb_agg(jsonb_build_object('workflowId', s.workflow_id, 'stepId', s.step_id, 'attempt', tries.attempt))
         from old join steps s on s.workflow_id = old.id, generate_series(1, s.attempt) as tries(attempt)), '[]') as attempts`,
    values: [ageMs, workflowIds, maxEvents],
  });
  return rows[0]!;
}
