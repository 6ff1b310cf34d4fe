import { Code, ConnectError } from '@connectrpc/connect';
import { QuotaSchema } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { quotaFromProto, secondsUntilReset } from '../wire/quota.ts';
import { StreamError } from './http2/errors.ts';

const CODES: Readonly<Record<Code, ErrorCode>> = {
  [Code.Canceled]: 'INTERNAL',
  [Code.Unknown]: 'INTERNAL',
  [Code.InvalidArgument]: 'INVALID_ARGUMENT',
  [Code.DeadlineExceeded]: 'DEADLINE_EXCEEDED',
  [Code.NotFound]: 'NOT_FOUND',
  [Code.AlreadyExists]: 'CONFLICT',
  [Code.PermissionDenied]: 'PERMISSION_DENIED',
  [Code.ResourceExhausted]: 'OVERLOADED',
  [Code.FailedPrecondition]: 'FAILED_PRECONDITION',
  [Code.Aborted]: 'CONFLICT',
  [Code.OutOfRange]: 'INVALID_ARGUMENT',
  [Code.Unimplemented]: 'UNIMPLEMENTED',
  [Code.Internal]: 'INTERNAL',
  [Code.Unavailable]: 'UNAVAILABLE',
  [Code.DataLoss]: 'INTERNAL',
  // The orchestrator refusing the gateway is the operator's business, not the client's credential.
  [Code.Unauthenticated]: 'INTERNAL',
};

// Without a grpc-status the server said nothing: the connection broke, or was never made.
const CONNECTION_CODES: Readonly<Partial<Record<Code, ErrorCode>>> = {
  [Code.Canceled]: 'UNAVAILABLE',
  [Code.Aborted]: 'UNAVAILABLE',
  // Of whom it is said is the gateway, by something between it and the orchestrator.
  [Code.PermissionDenied]: 'INTERNAL',
};

// What connect says of an answer that ends in the middle, or before its status: the connection was closed meanwhile.
const CUT_SHORT =
  /^protocol error: (?:promised \d+ bytes, received|incomplete envelope|missing status|missing output message)/;

/** What a google.rpc.ErrorInfo says more of a code. */
const REASONS: Readonly<Partial<Record<Code, Readonly<Record<string, ErrorCode>>>>> = {
  [Code.FailedPrecondition]: { INSUFFICIENT_CREDITS: 'PAYMENT_REQUIRED' },
  [Code.ResourceExhausted]: { QUOTA_EXCEEDED: 'QUOTA_EXCEEDED' },
  [Code.Aborted]: { IDEMPOTENCY_KEY_IN_FLIGHT: 'IDEMPOTENCY_KEY_IN_FLIGHT' },
  [Code.AlreadyExists]: { IDEMPOTENCY_KEY_REUSED: 'IDEMPOTENCY_KEY_REUSED' },
  [Code.Unauthenticated]: { KEY_UNKNOWN: 'UNAUTHENTICATED', KEY_REVOKED: 'KEY_REVOKED', KEY_EXPIRED: 'KEY_EXPIRED' },
};

// What grpc-go, grpc-js, grpc-java and connect say of a message over a size limit; gRPC has no code of its own for it.
const TOO_LARGE = /larger than (?:max|configured)|exceeds maximum|message length too large/i;
// Said by the one who was about to send it: the server of its answer, or we of the request.
const TOO_LARGE_TO_SEND = /to send|writeMaxBytes/i;

/**
 * A failed gRPC call as a GatewayError (contract/http.md, Errors). `signal` is the request's: when it was aborted the
 * client has gone away. NOT_FOUND gets one message, so that missing and foreign look the same.
 */
export function fromGrpc(thrown: unknown, signal: AbortSignal): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  if (signal.aborted) return new GatewayError('CLIENT_CLOSED_REQUEST', 'the client went away', { cause: thrown });
  const error = ConnectError.from(thrown);
  const message = error.rawMessage;
  const details = { cause: error };
  const answered = error.metadata.has('grpc-status');
  if (error.code === Code.NotFound) return new GatewayError('NOT_FOUND', 'not found', details);
  if ((error.code === Code.ResourceExhausted || error.code === Code.OutOfRange) && TOO_LARGE.test(message)) {
    const isRequest = answered !== TOO_LARGE_TO_SEND.test(message);
    return new GatewayError(isRequest ? 'PAYLOAD_TOO_LARGE' : 'UPSTREAM_RESPONSE_TOO_LARGE', message, details);
  }
  const reasons = REASONS[error.code] ?? {};
  const told = error.findDetails(ErrorInfoSchema).find(({ reason }) => Object.hasOwn(reasons, reason));
  if (told) return withReason(reasons[told.reason]!, message, error);
  return new GatewayError(answered ? CODES[error.code] : connectionCode(error), message, details);
}

/** gRPC over HTTP/2, "Errors": a server that refuses a stream may be asked again, one that wants calm is overloaded. */
function connectionCode(error: ConnectError): ErrorCode {
  const { code, message } = (error.cause ?? {}) as { code?: unknown; message?: string };
  if (error.code === Code.Internal && (typeof code === 'string' || error.cause instanceof StreamError)) {
    return message?.includes('NGHTTP2_ENHANCE_YOUR_CALM') ? 'OVERLOADED' : 'UNAVAILABLE';
  }
  if (CUT_SHORT.test(error.rawMessage)) return 'UNAVAILABLE';
  return CONNECTION_CODES[error.code] ?? CODES[error.code];
}

function withReason(code: ErrorCode, message: string, cause: ConnectError): GatewayError {
  if (code === 'QUOTA_EXCEEDED') {
    const quota = quotaFromProto(cause.findDetails(QuotaSchema)[0]);
    return new GatewayError(code, message, { cause, quota, retryAfterSeconds: secondsUntilReset(quota ?? {}) });
  }
  const isCredential = cause.code === Code.Unauthenticated;
  return new GatewayError(code, message, { cause, ...(isCredential && { headers: { 'WWW-Authenticate': 'Bearer' } }) });
}
