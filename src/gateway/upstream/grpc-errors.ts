import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';

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
  if (error.code === Code.FailedPrecondition && hasReason(error, 'INSUFFICIENT_CREDITS')) {
    return new GatewayError('PAYMENT_REQUIRED', message, details);
  }
  return new GatewayError(answered ? CODES[error.code] : connectionCode(error), message, details);
}

/** gRPC over HTTP/2, "Errors": a server that refuses a stream may be asked again, one that wants calm is overloaded. */
function connectionCode(error: ConnectError): ErrorCode {
  const { code, message } = (error.cause ?? {}) as { code?: unknown; message?: string };
  if (error.code === Code.Internal && typeof code === 'string') {
    return message?.includes('NGHTTP2_ENHANCE_YOUR_CALM') ? 'OVERLOADED' : 'UNAVAILABLE';
  }
  return CONNECTION_CODES[error.code] ?? CODES[error.code];
}

function hasReason(error: ConnectError, reason: string): boolean {
  return error.findDetails(ErrorInfoSchema).some((info) => info.reason === reason);
}
