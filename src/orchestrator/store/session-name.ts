import { createHash } from 'node:crypto';

const PROGRAM = 'foldforge-orchestrator';
const TAG_CHARACTERS = 12;

/** What a session is called in `pg_stat_activity`: 63 characters at most, so the executor's name is there as a digest. */
export function sessionName(purpose: 'calls' | 'vital' | 'engine', executorId: string): string {
  return `${PROGRAM} ${purpose} ${tagOf(executorId)}`;
}

/** SQL: true of the rows of `pg_stat_activity` that are sessions in which the executor `$1` changes something. */
export const IS_SESSION_OF = `datname = current_database() and application_name like '${PROGRAM} %'
  and right(application_name, ${TAG_CHARACTERS}) = left(encode(sha256($1::text::bytea), 'hex'), ${TAG_CHARACTERS})`;

function tagOf(executorId: string): string {
  return createHash('sha256').update(executorId).digest('hex').slice(0, TAG_CHARACTERS);
}
