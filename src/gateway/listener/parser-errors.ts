import { GatewayError } from '../errors.ts';

/** What Node says when it cannot go on reading a connection. */
export interface ParserError extends Error {
  readonly code?: string;
  /** In the parser's words. */
  readonly reason?: string;
  /** The bytes that it stopped at, and how far it got. */
  readonly rawPacket?: Buffer;
  readonly bytesParsed?: number;
}

/** A request without its end, and a line without one. */
const CUT_OFF = 'HPE_INVALID_EOF_STATE';
const LINE_END = '\r\n';

/** What a head may be, in bytes and fields. */
export interface HeadLimits {
  readonly headBytes: number;
  readonly headerCount: number;
  readonly urlBytes: number;
}

/**
 * What to do about bytes that cannot be read: an error to answer with; `leave`: the client is gone, or it spoke on although it
 * had said that it would not.
 */
export function readParserError(error: ParserError, limits: HeadLimits): GatewayError | 'leave' {
  const { code = '', reason, rawPacket, bytesParsed } = error;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new GatewayError('REQUEST_TIMEOUT', 'the request took too long to arrive', { cause: error });
  }
  if (!code.startsWith('HPE_') || code === CUT_OFF || code === 'HPE_CLOSED_CONNECTION') return 'leave';
  if (code !== 'HPE_HEADER_OVERFLOW') {
    const what = reason ? `: ${reason}` : '';
    return new GatewayError('INVALID_ARGUMENT', `the request is not HTTP/1.1 as RFC 9112 has it${what}`, {
      cause: error,
    });
  }
  const { headBytes, headerCount, urlBytes } = limits;
  // The first line can be told from the others as long as it is in one piece.
  if (rawPacket && isRequestLine(rawPacket.toString('latin1', 0, bytesParsed))) {
    const most = Math.min(urlBytes, headBytes);
    return new GatewayError('URI_TOO_LONG', `the request target is longer than ${most} bytes`, { cause: error });
  }
  const most = `${headBytes} bytes, or has more than ${headerCount} fields`;
  return new GatewayError('HEADERS_TOO_LARGE', `the head of the request is larger than ${most}`, { cause: error });
}

function isRequestLine(text: string): boolean {
  return /^[A-Z]+ \//.test(text) && !text.includes(LINE_END);
}
