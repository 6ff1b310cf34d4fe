import { createHash, randomBytes } from 'node:crypto';

const PROGRAM = 'foldforge-orchestrator';
const TAG_CHARACTERS = 12;
const RUN_BYTES = 4;
const RUN_AND_TAG_CHARACTERS = 2 * RUN_BYTES + 1 + TAG_CHARACTERS;

/** What a session is called in `pg_stat_activity`. */
export type SessionName = (purpose: 'calls' | 'vital' | 'engine') => string;

/**
 * Names the sessions of one run of an executor: a run before it or after it under the same name has others. 63 characters
 * at most, so the executor's name is there as a digest.
 */
export function createSessionName(executorId: string): SessionName {
  const run = randomBytes(RUN_BYTES).toString('hex');
  const tag = createHash('sha256').update(executorId).digest('hex').slice(0, TAG_CHARACTERS);
  return (purpose) => `${PROGRAM} ${purpose} ${run} ${tag}`;
}

/** SQL: true of the rows of `pg_stat_activity` that are sessions in which the executor `$1` changes something. */
export const IS_SESSION_OF = `datname = current_database() and application_name like '${PROGRAM} %'
  and right(application_name, ${TAG_CHARACTERS}) = left(encode(sha256($1::text::bytea), 'hex'), ${TAG_CHARACTERS})`;

/** SQL: which run of an executor a row of `pg_stat_activity` is of. */
export const RUN_OF_SESSION = `right(application_name, ${RUN_AND_TAG_CHARACTERS})`;
