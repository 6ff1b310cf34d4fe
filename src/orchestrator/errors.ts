import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../gen/google/rpc/error_details_pb.ts';
import { SpecError } from './engine/graph.ts';
import { isDatabaseAway, isUnstorable } from './store/database.ts';

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

/** FAILED_PRECONDITION with the reason that the contract names. Amounts are credits. */
export function insufficientCredits(balance: bigint, needed: bigint): ConnectError {
  const message = `not enough credits: ${needed} needed, ${balance} left`;
  const metadata = { balance: String(balance), needed: String(needed) };
  return new ConnectError(message, Code.FailedPrecondition, undefined, [
    { desc: ErrorInfoSchema, value: { reason: 'INSUFFICIENT_CREDITS', domain: ERROR_DOMAIN, metadata } },
  ]);
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
