import { Code, ConnectError } from '@connectrpc/connect';
import {
  findTrailerError,
  headerGrpcMessage,
  headerStatusDetailsBin,
  validateResponseWithCompression,
  validateTrailer,
} from '@connectrpc/connect/protocol-grpc';
import { ERROR_CODES, StreamError } from '../http2/errors.ts';
import { type Fields, fieldValue } from '../http2/header-blocks.ts';
import type { Verdict } from '../http2/standing.ts';

/** gRPC over HTTP/2, "HTTP2 Transport Mapping", Errors. What is not listed is INTERNAL. */
const STREAM_CODES: Readonly<Record<number, Code>> = {
  [ERROR_CODES.REFUSED_STREAM]: Code.Unavailable,
  [ERROR_CODES.CANCEL]: Code.Canceled,
  [ERROR_CODES.ENHANCE_YOUR_CALM]: Code.ResourceExhausted,
  [ERROR_CODES.INADEQUATE_SECURITY]: Code.PermissionDenied,
};

/** A stream that ended without an answer. One that the server has never looked at, or a lost connection: UNAVAILABLE. */
export function fromStreamError(error: StreamError): ConnectError {
  const isLost = error.code === undefined || error.isUnprocessed;
  const code = isLost ? Code.Unavailable : (STREAM_CODES[error.code!] ?? Code.Internal);
  return new ConnectError(error.message, code, undefined, undefined, error);
}

/** What an error tells of who gave it: a server that cannot be used, one that can, or nothing. */
export function verdictOn(error: ConnectError): Verdict {
  // Also in the server's own words: how much time there was is the caller's doing.
  if (error.code === Code.DeadlineExceeded) return 'late';
  // Also of something between it and us, in its place: gRPC over HTTP/2, "HTTP to gRPC Status Code Mapping".
  const isAnswer = !(error.cause instanceof StreamError);
  if (error.cause instanceof StreamError) {
    if (error.cause.code === ERROR_CODES.INTERNAL_ERROR) return 'bad';
    if (error.cause.code === ERROR_CODES.REFUSED_STREAM) return 'refused';
  }
  if (error.code === Code.Unavailable) return isAnswer ? 'bad' : 'unknown';
  return isAnswer && error.code !== Code.Canceled ? 'good' : 'unknown';
}

/** Throws the error that the header of an answer is: no gRPC, a status other than 200, or a failed call without content. */
export function checkHeader(header: Fields): void {
  if (isGrpc(header)) return;
  const headers = toHeaders(header);
  const status = Number(fieldValue(header, ':status'));
  const { headerError } = validateResponseWithCompression([], status, headers);
  if (headerError) throw headerError;
}

/** Throws the error that a finished answer tells of, or INTERNAL for one that tells nothing. */
export function checkTrailer(header: Fields, trailer: Fields | undefined): void {
  if (trailer && fieldValue(trailer, 'grpc-status') === '0') return;
  validateTrailer(toHeaders(trailer ?? []), toHeaders(header));
}

/** What nearly every answer has: content follows, and then a status. */
export function isGrpc(header: Fields): boolean {
  const type = fieldValue(header, 'content-type');
  return (
    (type === 'application/grpc+proto' || type === 'application/grpc') &&
    fieldValue(header, ':status') === '200' &&
    fieldValue(header, 'grpc-status') === undefined &&
    (fieldValue(header, 'grpc-encoding') ?? 'identity') === 'identity'
  );
}

/** Without the pseudo-header, and without what cannot be decoded of a status: the rest of it still tells something. */
export function toHeaders(fields: Fields): Headers {
  const headers = new Headers();
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] !== ':status') headers.append(fields[at]!, fields[at + 1]!);
  }
  const status = headers.get('grpc-status');
  // A status that is none, or is newer than we are, is UNKNOWN.
  if (status !== null && !/^(?:\d|1[0-6])$/.test(status)) {
    headers.set('grpc-status', String(Code.Unknown));
    if (!headers.has(headerGrpcMessage)) headers.set(headerGrpcMessage, encodeURIComponent(`grpc-status: ${status}`));
  }
  if (!isReadable(headers)) headers.delete(headerStatusDetailsBin);
  if (!isReadable(headers)) headers.set(headerGrpcMessage, encodeURIComponent(headers.get(headerGrpcMessage)!));
  return headers;
}

function isReadable(headers: Headers): boolean {
  try {
    findTrailerError(headers);
    return true;
  } catch {
    return false;
  }
}
