import { Code, ConnectError } from '@connectrpc/connect';
import { type Quota, QuotaSchema } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { ErrorInfoSchema } from '../gen/google/rpc/error_details_pb.ts';
import { SpecError } from './engine/graph.ts';
import { isDatabaseAway, isUnstorable } from './store/database.ts';

type OutgoingDetail = NonNullable<ConstructorParameters<typeof ConnectError>[3]>[number];

const ERROR_DOMAIN = 'foldforge.orchestrator';

/** A workflow that is missing and one that belongs to somebody else look the same. */
export function workflowNotFound(): ConnectError {
  return new ConnectError('workflow not found', Code.NotFound);
}

export function invalidArgument(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument);
}

export function failedPrecondition(message: string): ConnectError {
  return new ConnectError(message, Code.FailedPrecondition);
}

export function permissionDenied(message: string): ConnectError {
  return new ConnectError(message, Code.PermissionDenied);
}

export function shuttingDown(): ConnectError {
  return new ConnectError('the orchestrator is shutting down', Code.Unavailable);
}

/** An error with a reason that the contract names, and facts for machines. */
function refusedFor(
  reason: string,
  code: Code,
  message: string,
  metadata: Record<string, string> = {},
  details: OutgoingDetail[] = [],
): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN, metadata } };
  return new ConnectError(message, code, undefined, [info, ...details]);
}

/** Amounts are credits. */
export function insufficientCredits(balance: bigint, needed: bigint): ConnectError {
  const message = `not enough credits: ${needed} needed, ${balance} left`;
  const metadata = { balance: String(balance), needed: String(needed) };
  return refusedFor('INSUFFICIENT_CREDITS', Code.FailedPrecondition, message, metadata);
}

export function idempotencyKeyInFlight(): ConnectError {
  const message = 'a submission with this idempotency key is under way';
  return refusedFor('IDEMPOTENCY_KEY_IN_FLIGHT', Code.Aborted, message);
}

export function idempotencyKeyReused(): ConnectError {
  const message = 'the idempotency key was used for another body';
  return refusedFor('IDEMPOTENCY_KEY_REUSED', Code.AlreadyExists, message);
}

const KEY_LAPSES = {
  unknown: ['KEY_UNKNOWN', 'the API key is unknown'],
  revoked: ['KEY_REVOKED', 'the API key was revoked'],
  expired: ['KEY_EXPIRED', 'the API key has expired'],
} as const;

export function keyNotGood(lapse: keyof typeof KEY_LAPSES): ConnectError {
  const [reason, message] = KEY_LAPSES[lapse];
  return refusedFor(reason, Code.Unauthenticated, message);
}

export function keyOfAnother(): ConnectError {
  return refusedFor('KEY_OF_ANOTHER', Code.PermissionDenied, 'the API key belongs to another principal');
}

export function keyReadOnly(): ConnectError {
  return refusedFor('KEY_READ_ONLY', Code.PermissionDenied, 'the API key is read-only: it may not submit workflows');
}

export function quotaExceeded(quota: Quota): ConnectError {
  const message = `the quota of ${quota.limit} submissions in ${quota.windowSeconds} s is used up`;
  const detail = { desc: QuotaSchema, value: quota };
  return refusedFor('QUOTA_EXCEEDED', Code.ResourceExhausted, message, {}, [detail]);
}

/** The one translation of whatever was thrown into what a caller may read; the cause stays on this side. */
export function toConnectError(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const refused = (message: string, code: Code) => new ConnectError(message, code, undefined, undefined, thrown);
  if (thrown instanceof SpecError) return invalidArgument(thrown.message);
  if (isDatabaseAway(thrown)) return refused('the database does not answer', Code.Unavailable);
  if (isUnstorable(thrown)) return refused('a value in the request cannot be stored', Code.InvalidArgument);
  return refused('internal error', Code.Internal);
}
