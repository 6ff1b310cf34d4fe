/** Error codes of RST_STREAM and GOAWAY: RFC 9113, section 7. */
export const ERROR_CODES = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

const NAMES = new Map<number, string>(Object.entries(ERROR_CODES).map(([name, code]) => [code, name]));

/** The name of an error code, or its number where it has none. */
export function errorName(code: number): string {
  return NAMES.get(code) ?? `error 0x${code.toString(16)}`;
}

/** The peer broke the protocol, which ends the connection (RFC 9113, section 5.4.1). */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: keyof typeof ERROR_CODES, message: string) {
    super(`${message} (${code})`);
    this.name = 'ConnectionError';
    this.code = ERROR_CODES[code];
  }
}

/** Why a stream ended without an answer. */
export class StreamError extends Error {
  /** As in RST_STREAM; undefined when the connection was lost. */
  readonly code: number | undefined;
  /** The server has not seen the request, or says that it did nothing with it: it may be sent again (section 8.7). */
  readonly isUnprocessed: boolean;

  constructor(message: string, { code, isUnprocessed = false, cause }: StreamErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StreamError';
    this.code = code;
    this.isUnprocessed = isUnprocessed;
  }
}

interface StreamErrorDetails {
  readonly code?: number;
  readonly isUnprocessed?: boolean;
  readonly cause?: unknown;
}
