import type { Quota } from './context.ts';

/** When repeating a call is safe and can help. `safe`: only for methods that change nothing (GET, HEAD). */
type Retryable = 'never' | 'always' | 'safe';

interface Kind {
  readonly status: number;
  readonly title: string;
  readonly retryable: Retryable;
  /** The one sentence that a client gets for a 5xx, whatever the cause. */
  readonly sentence?: string;
}

/** Every error that the gateway can answer with (contract: openapi.yaml, schema Error). */
export const ERRORS = {
  INVALID_ARGUMENT: { status: 400, title: 'Invalid request', retryable: 'never' },
  FAILED_PRECONDITION: { status: 400, title: 'Failed precondition', retryable: 'never' },
  UNAUTHENTICATED: { status: 401, title: 'Not authenticated', retryable: 'never' },
  KEY_REVOKED: { status: 401, title: 'API key revoked', retryable: 'never' },
  KEY_EXPIRED: { status: 401, title: 'API key expired', retryable: 'never' },
  PAYMENT_REQUIRED: { status: 402, title: 'Payment required', retryable: 'never' },
  PERMISSION_DENIED: { status: 403, title: 'Permission denied', retryable: 'never' },
  NOT_FOUND: { status: 404, title: 'Not found', retryable: 'never' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'Method not allowed', retryable: 'never' },
  REQUEST_TIMEOUT: { status: 408, title: 'Request timeout', retryable: 'never' },
  CONFLICT: { status: 409, title: 'Conflict', retryable: 'never' },
  IDEMPOTENCY_KEY_IN_FLIGHT: { status: 409, title: 'Idempotency key in flight', retryable: 'always' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'Payload too large', retryable: 'never' },
  URI_TOO_LONG: { status: 414, title: 'URI too long', retryable: 'never' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'Unsupported media type', retryable: 'never' },
  RANGE_NOT_SATISFIABLE: { status: 416, title: 'Range not satisfiable', retryable: 'never' },
  EXPECTATION_FAILED: { status: 417, title: 'Expectation failed', retryable: 'never' },
  MISDIRECTED_REQUEST: { status: 421, title: 'Misdirected request', retryable: 'never' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'Idempotency key reused', retryable: 'never' },
  QUOTA_EXCEEDED: { status: 429, title: 'Quota exceeded', retryable: 'always' },
  RATE_LIMITED: { status: 429, title: 'Rate limited', retryable: 'always' },
  TOO_MANY_REQUESTS: { status: 429, title: 'Too many requests at once', retryable: 'always' },
  TOO_MANY_STREAMS: { status: 429, title: 'Too many streams', retryable: 'always' },
  HEADERS_TOO_LARGE: { status: 431, title: 'Request header fields too large', retryable: 'never' },
  /** The client has gone away: nobody reads the answer, only the metrics count it. */
  CLIENT_CLOSED_REQUEST: { status: 499, title: 'Client closed request', retryable: 'never' },
  INTERNAL: {
    status: 500,
    title: 'Internal error',
    retryable: 'never',
    sentence: 'something went wrong on our side; the log has the cause under the request id',
  },
  UNIMPLEMENTED: {
    status: 501,
    title: 'Not implemented',
    retryable: 'never',
    sentence: 'the orchestrator does not support this call',
  },
  STORE_UNAVAILABLE: {
    status: 502,
    title: 'Object store unavailable',
    retryable: 'safe',
    sentence: 'the object store is unavailable for the moment',
  },
  STORE_ERROR: {
    status: 502,
    title: 'Object store error',
    retryable: 'never',
    sentence: 'the object store could not deliver the file',
  },
  PAYMENT_PROVIDER_ERROR: {
    status: 502,
    title: 'Payment provider error',
    retryable: 'never',
    sentence: 'the payment provider could not open a checkout',
  },
  UPSTREAM_RESPONSE_TOO_LARGE: {
    status: 502,
    title: 'Upstream response too large',
    retryable: 'never',
    sentence: 'the answer is larger than the gateway passes on',
  },
  UNAVAILABLE: {
    status: 503,
    title: 'Unavailable',
    retryable: 'always',
    sentence: 'the service is unavailable for the moment',
  },
  OVERLOADED: { status: 503, title: 'Overloaded', retryable: 'always', sentence: 'the service is overloaded' },
  NOT_CONFIGURED: {
    status: 503,
    title: 'Not configured',
    retryable: 'never',
    sentence: 'this part of the service is not set up',
  },
  DEADLINE_EXCEEDED: {
    status: 504,
    title: 'Deadline exceeded',
    retryable: 'safe',
    sentence: 'the request took too long',
  },
} as const satisfies Record<string, Kind>;

export type ErrorCode = keyof typeof ERRORS;

/** One part of a request that is wrong: an RFC 6901 pointer into the body, or `#/query/page_size` style. */
export interface Fault {
  readonly pointer: string;
  readonly message: string;
}

interface Details extends ErrorOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly faults?: readonly Fault[];
  /** Whole seconds; said only where the error is retryable. */
  readonly retryAfterSeconds?: number;
  /** The caller's quota, where that is what the error is about. */
  readonly quota?: Quota | undefined;
  /** Refused for the sake of others, as happens thousands of times in a second: it is counted, and not logged by itself. */
  readonly isRefusal?: boolean;
}

/**
 * The one error type of the gateway. Below 500 the message is for the client; from 500 on the client gets the code's
 * fixed sentence, and message and cause are for the log.
 */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly headers: Readonly<Record<string, string>>;
  readonly faults: readonly Fault[] | undefined;
  readonly retryAfterSeconds: number;
  readonly quota: Quota | undefined;
  readonly isRefusal: boolean;

  constructor(code: ErrorCode, message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.headers = details.headers ?? {};
    this.faults = details.faults;
    this.retryAfterSeconds = details.retryAfterSeconds ?? 1;
    this.quota = details.quota;
    this.isRefusal = details.isRefusal ?? false;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** Anything that was thrown, as a GatewayError: what nobody foresaw is INTERNAL. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  return new GatewayError('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

/** The body that every error has, with the members of RFC 9457. `method` is the request's. */
export function errorBody(error: GatewayError, requestId: string, method: string) {
  const kind: Kind = ERRORS[error.code];
  const message = kind.sentence ?? error.message;
  return {
    code: error.code,
    message,
    retryable: isRetryable(error, method),
    request_id: requestId,
    ...(error.faults && { errors: error.faults }),
    type: `urn:foldforge:error:${error.code}`,
    title: kind.title,
    status: kind.status,
    detail: message,
    instance: `urn:foldforge:request:${requestId}`,
  };
}

/** The headers of an error; `Retry-After` (whole seconds) goes with each that may be repeated. */
export function errorHeaders(error: GatewayError, method: string): Record<string, string> {
  if (!isRetryable(error, method)) return { ...error.headers };
  return { ...error.headers, 'Retry-After': String(Math.max(1, Math.ceil(error.retryAfterSeconds))) };
}

function isRetryable(error: GatewayError, method: string): boolean {
  const { retryable }: Kind = ERRORS[error.code];
  return retryable === 'always' || (retryable === 'safe' && (method === 'GET' || method === 'HEAD'));
}
