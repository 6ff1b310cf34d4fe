import { Code, type ConnectError } from '@connectrpc/connect';
import type { ErrorDetail } from '../../../gen/foldforge/common/v1/common_pb.ts';
import type { StepFault, Tool } from '../runner.ts';
import { cleanText } from './clean-text.ts';

const MAX_MESSAGE_CHARACTERS = 2_000;
const FAULT_CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** What a sidecar's status means for the step: its code, and whether the same run may do better another time. */
const STATUSES: Readonly<Record<Code, readonly [code: string, retryable: boolean]>> = {
  [Code.Canceled]: ['CANCELLED', true],
  [Code.Unknown]: ['UNKNOWN', true],
  [Code.InvalidArgument]: ['INVALID_ARGUMENT', false],
  [Code.DeadlineExceeded]: ['DEADLINE_EXCEEDED', true],
  [Code.NotFound]: ['NOT_FOUND', false],
  [Code.AlreadyExists]: ['ALREADY_EXISTS', false],
  [Code.PermissionDenied]: ['PERMISSION_DENIED', false],
  [Code.ResourceExhausted]: ['RESOURCE_EXHAUSTED', true],
  [Code.FailedPrecondition]: ['FAILED_PRECONDITION', false],
  [Code.Aborted]: ['ABORTED', true],
  [Code.OutOfRange]: ['OUT_OF_RANGE', false],
  [Code.Unimplemented]: ['UNIMPLEMENTED', false],
  [Code.Internal]: ['INTERNAL', true],
  [Code.Unavailable]: ['UNAVAILABLE', true],
  [Code.DataLoss]: ['DATA_LOSS', false],
  [Code.Unauthenticated]: ['UNAUTHENTICATED', false],
};

// What connect says of an answer that ends in the middle, or before its status: the connection was closed meanwhile.
const CUT_SHORT = /^protocol error: (?:promised \d+ bytes, received|incomplete envelope|missing status)/;
// What gRPC's implementations say of a message over a size limit; there is no code of its own for it.
const TOO_LARGE = /larger than (?:max|configured)|exceeds maximum|message length too large/i;
const HTTP_STATUS = /^HTTP \d{3}$/;

/** A call that failed, as the fault of its step. Addresses stay out of it: it is for the step's author. */
export function faultOfCall(error: ConnectError, tool: Tool): StepFault {
  const { rawMessage } = error;
  const [code, retryable] = STATUSES[error.code];
  const isTooLarge = TOO_LARGE.test(rawMessage);
  if (error.metadata.has('grpc-status')) {
    const message = cleanText(
      `the ${tool} sidecar answered ${code}: ${rawMessage || 'no reason'}`,
      MAX_MESSAGE_CHARACTERS,
    );
    return { code, message, retryable: retryable && !isTooLarge };
  }
  if (isTooLarge) return protocolFault(`the ${tool} sidecar sent a message that is too large`, false);
  if (HTTP_STATUS.test(rawMessage)) {
    return { code, message: `the ${tool} sidecar answered ${rawMessage} instead of gRPC`, retryable };
  }
  if (isLost(error)) {
    return { code: 'UNAVAILABLE', message: `the ${tool} sidecar cannot be reached, or went away`, retryable: true };
  }
  return protocolFault(`the ${tool} sidecar sent something that is not gRPC as the contract has it`, true);
}

/** What a sidecar says of its failure. A code that is no machine word goes before the message. */
export function faultOfSidecar({ code, message, retryable }: ErrorDetail): StepFault {
  const isWord = FAULT_CODE.test(code);
  const said = message || 'the sidecar gives no reason';
  const words = isWord || code === '' ? said : `${code}: ${said}`;
  return { code: isWord ? code : 'SIDECAR_ERROR', message: cleanText(words, MAX_MESSAGE_CHARACTERS), retryable };
}

function protocolFault(message: string, retryable: boolean): StepFault {
  return { code: 'SIDECAR_PROTOCOL', message, retryable };
}

/** Without a grpc-status the sidecar said nothing: the connection broke, was refused or never made. */
function isLost({ code, rawMessage, cause }: ConnectError): boolean {
  if (code === Code.Unavailable || code === Code.Canceled || code === Code.Aborted) return true;
  if (code === Code.ResourceExhausted || CUT_SHORT.test(rawMessage)) return true;
  if (rawMessage.startsWith('http/2 stream closed with error code')) return true;
  return typeof (cause as NodeJS.ErrnoException | undefined)?.code === 'string';
}
