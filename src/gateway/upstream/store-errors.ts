import { GatewayError } from '../errors.ts';
import type { Outcome } from './circuit-breaker.ts';

/**
 * How a transfer can fail on the side of the store; `broken` and `mismatch` are not the store's own words, and of
 * `circuit_open` it has not heard.
 */
export type StoreFailure =
  | 'unreachable'
  | 'slow'
  | 'denied'
  | 'missing'
  | 'failed'
  | 'refused'
  | 'mismatch'
  | 'broken'
  | 'circuit_open';

/** Failures of the store as a whole. All others are answers about one object, or about our settings. */
const OF_THE_WHOLE: ReadonlySet<StoreFailure> = new Set(['unreachable', 'slow', 'failed']);

// What Node and the SDK call a store that cannot be connected to.
const UNREACHABLE =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EHOSTDOWN|CERT_\w+|DEPTH_ZERO_\w+|SELF_SIGNED_\w+|UNABLE_TO_\w+|ERR_TLS\w*|ERR_SSL\w*|EPROTO)$/;
/** A connection that broke before the answer: the store closed one that had been idle, or went down. */
const BROKEN = /^(?:ECONNRESET|EPIPE|ECONNABORTED|HPE_INVALID_EOF_STATE)$/;

interface StoreError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** Whether the same call may go better at once: a broken connection, or a 5xx, but not a store that wants calm. */
export function isWorthAnother(thrown: unknown): boolean {
  const error = thrown as StoreError;
  return kindOf(error) === 'failed' && error.$metadata?.httpStatusCode !== 429;
}

/** What a call that threw says of the store as a whole. */
export function outcomeOf(thrown: unknown, signal: AbortSignal): Outcome {
  if (signal.aborted) return 'unknown';
  const error = thrown as StoreError;
  if (OF_THE_WHOLE.has(kindOf(error))) return 'bad';
  // Without a status it is no answer: this process has no file descriptor left, or something else listens there.
  return error.$metadata?.httpStatusCode === undefined ? 'unknown' : 'good';
}

/**
 * Whether the store would give a file, to judge by what it says to a question for one that nobody has stored. Without
 * the permission to list, which the gateway does not need, some stores say that it is denied rather than missing.
 */
export function wouldServe(thrown: unknown): boolean {
  const error = thrown as StoreError;
  const kind = kindOf(error);
  return (kind === 'missing' && error.name !== 'NoSuchBucket') || (kind === 'denied' && error.name === 'AccessDenied');
}

/**
 * A failed call to the store. Its own words (bucket names, keys) are for the log: STORE_UNAVAILABLE may be repeated,
 * STORE_ERROR is for the operator to mend, and DEADLINE_EXCEEDED is a store that took too long.
 */
export function fromStore(
  thrown: unknown,
  signal: AbortSignal,
  onFailure: (failure: StoreFailure) => void,
): GatewayError {
  const error = thrown as StoreError;
  const cause = { cause: thrown };
  if (signal.aborted) return new GatewayError('CLIENT_CLOSED_REQUEST', 'the client went away', cause);
  if (thrown instanceof GatewayError) return thrown;
  const kind = kindOf(error);
  onFailure(kind);
  const message = `the object store: ${kind}: ${error.name}: ${error.message}`;
  if (error.name === 'TimeoutError' && kind !== 'failed') return new GatewayError('DEADLINE_EXCEEDED', message, cause);
  const isTemporary = kind === 'unreachable' || kind === 'failed';
  return new GatewayError(isTemporary ? 'STORE_UNAVAILABLE' : 'STORE_ERROR', message, cause);
}

function kindOf({ name, message = '', code, $metadata }: StoreError): StoreFailure {
  const status = $metadata?.httpStatusCode;
  // First, because the SDK gives some of these the name of a timeout.
  if (BROKEN.test(String(code))) return 'failed';
  if (name === 'TimeoutError') return /establish|connect/i.test(message) ? 'unreachable' : 'slow';
  if (status === undefined) return UNREACHABLE.test(String(code)) ? 'unreachable' : 'refused';
  if (status >= 500 || status === 429) return 'failed';
  if (status === 401 || status === 403) return 'denied';
  if (status === 404) return 'missing';
  // Ranges are asked for as the record allows them: the object is shorter than that.
  return status === 416 ? 'mismatch' : 'refused';
}
