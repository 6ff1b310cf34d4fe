import { randomUUID } from 'node:crypto';
import type { GrantCreditsRequest } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { invalidArgument } from '../errors.ts';
import type { Database } from '../store/database.ts';
import { type Posted, post } from './ledger.ts';

const DEFAULT_REASON = 'grant:admin';

/** Adds credits, once for each idempotency key. Throws INVALID_ARGUMENT, ALREADY_EXISTS. */
export async function grantCredits(
  { transaction }: Database,
  { principal, amount, reason, idempotencyKey }: Omit<GrantCreditsRequest, '$typeName' | '$unknown'>,
): Promise<Posted> {
  if (!principal) throw invalidArgument('a grant needs a principal');
  if (amount <= 0n) throw invalidArgument('the amount of a grant must be more than 0');
  return await transaction((connection) =>
    post(connection, {
      principal,
      delta: amount,
      reason: reason || DEFAULT_REASON,
      idempotencyKey: `grant:${idempotencyKey || randomUUID()}`,
    }),
  );
}
