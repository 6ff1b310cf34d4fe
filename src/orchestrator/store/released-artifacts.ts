import type { Database, Queryable } from './database.ts';

/** The URIs of what a step `s` made. The index steps_artifacts is on this expression. */
const ARTIFACT_URIS = `jsonb_path_query_array(s.output, '$.artifacts[*].uri')`;

const RELEASED_US = '(extract(epoch from a.released_at) * 1000000)::bigint';

/** An object that workflows which were deleted have left behind. */
export interface ReleasedArtifact {
  /** r2://<bucket>/<key> */
  readonly uri: string;
  readonly bytes: bigint;
  /** When the last of its workflows was deleted, in microseconds since 1970. */
  readonly releasedUs: bigint;
}

/**
 * The next `limit` artifacts after the one with the URI `after`, in the order of their URIs, that were released more than
 * `ageMs` ago and that no workflow refers to at this moment: the same content has the same URI whoever makes it.
 */
export async function findReleasedArtifacts(
  { transaction }: Pick<Database, 'transaction'>,
  ageMs: number,
  limit: number,
  after = '',
): Promise<ReleasedArtifact[]> {
  return await transaction(async (connection) => {
    // The planner takes any URI for one that many steps have made, and hopes to come across one of them soon.
    await connection.query('set local enable_seqscan = off');
    const { rows } = await connection.query<ReleasedArtifact>({
      text: `select a.uri, a.bytes, ${RELEASED_US} as "releasedUs" from artifacts_to_delete a
       where a.uri > $3 and a.released_at < now() - $1::double precision * interval '1 millisecond'
         and not exists (
           select from steps s where s.output is not null and ${ARTIFACT_URIS} @> jsonb_build_array(a.uri))
       order by a.uri limit $2`,
      values: [ageMs, limit, after],
    });
    return rows;
  });
}

/** Takes artifacts off the list, except those that were released once more since they were found. */
export async function forgetArtifacts(db: Queryable, artifacts: readonly ReleasedArtifact[]): Promise<void> {
  await db.query({
    text: `delete from artifacts_to_delete a using unnest($1::text[], $2::bigint[]) as gone(uri, released_us)
     where a.uri = gone.uri and ${RELEASED_US} = gone.released_us`,
    values: [artifacts.map(({ uri }) => uri), artifacts.map(({ releasedUs }) => releasedUs)],
  });
}
