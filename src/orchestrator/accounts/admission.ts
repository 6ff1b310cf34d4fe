import { keyNotGood, keyOfAnother, keyReadOnly, quotaExceeded } from '../errors.ts';
import type { Connection } from '../store/database.ts';
import { quotaOf } from '../wire.ts';
import { type KeyStanding, type Refusal, refusalOf } from './key-standing.ts';
import { countSubmission } from './quotas.ts';

/**
 * Whether `principal` may submit with this key at this moment, without counting. Throws UNAUTHENTICATED for a key that is
 * not good, PERMISSION_DENIED for one that is read-only or somebody else's, and QUOTA_EXCEEDED.
 */
export function checkAdmission(key: KeyStanding | undefined, principal: string | undefined): void {
  check(key, principal, refusalOf(key));
}

/** Counts the submission in the transaction on `connection`, and answers what is left. Throws like `checkAdmission`. */
export async function countAdmission(
  connection: Connection,
  keyHash: string,
  principal: string | undefined,
): Promise<KeyStanding | undefined> {
  const { key, refusal } = await countSubmission(connection, keyHash);
  check(key, principal, refusal);
  return key;
}

function check(key: KeyStanding | undefined, principal: string | undefined, refusal: Refusal | undefined): void {
  if (!key || refusal === 'unknown') throw keyNotGood('unknown');
  if (refusal === 'revoked' || refusal === 'expired') throw keyNotGood(refusal);
  if (key.principal !== principal) throw keyOfAnother();
  if (refusal === 'read-only') throw keyReadOnly();
  if (refusal === 'quota exceeded') throw quotaExceeded(quotaOf(key)!);
}
