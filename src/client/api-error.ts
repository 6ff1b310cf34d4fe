import type { ErrorBody } from './contract.ts';

/** What a proxy answers for a server that it cannot reach just now, or that is busy. */
const PASSING_STATUSES = [408, 429, 502, 503, 504];

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly retryable: boolean;
  readonly requestId?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly faults?: ErrorBody['errors'];
}

/** What was answered instead of what was asked for: by the API, or by a proxy in front of it. */
export class ApiError extends Error {
  readonly status: number;
  /** The API's word; `HTTP_502` and the like when it was not the API that answered. */
  readonly code: string;
  /** The API has said that a repetition is safe and can help. */
  readonly retryable: boolean;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly faults: NonNullable<ErrorBody['errors']>;

  constructor(message: string, answer: Answer) {
    super(`${answer.status} ${answer.code}: ${message}`);
    this.name = 'ApiError';
    this.status = answer.status;
    this.code = answer.code;
    this.retryable = answer.retryable;
    this.requestId = answer.requestId;
    this.retryAfterMs = answer.retryAfterMs;
    this.faults = answer.faults ?? [];
  }

  /** A repetition can help, provided that it does no harm: also where only a proxy has answered. */
  get isPassing(): boolean {
    if (this.retryable || this.code === 'DEADLINE_EXCEEDED') return true;
    return this.code.startsWith('HTTP_') && PASSING_STATUSES.includes(this.status);
  }
}

/** Nobody answered, or an answer broke off. */
export class ConnectionError extends Error {
  /** The server has certainly not seen the request. */
  readonly isUnsent: boolean;
  readonly isPassing: boolean;

  constructor(reason: string, { isUnsent = false, isPassing = true, cause }: ConnectionErrorOptions = {}) {
    super(reason, { cause });
    this.name = 'ConnectionError';
    this.isUnsent = isUnsent;
    this.isPassing = isPassing;
  }
}

interface ConnectionErrorOptions extends ErrorOptions {
  readonly isUnsent?: boolean;
  readonly isPassing?: boolean;
}

/** An error from its body, that of an answer or of an event. */
export function toApiError(body: ErrorBody, retryAfterMs?: number): ApiError {
  const { status, code, message, retryable, request_id: requestId, errors: faults } = body;
  return new ApiError(message, { status, code, retryable, requestId, retryAfterMs, faults });
}

const UNSENT = /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;
/** No such host, and whatever is wrong with a certificate: that does not pass by waiting. */
const LASTING = /^(?:ENOTFOUND|ERR_TLS_.*|ERR_SSL_.*|CERT_.*|DEPTH_ZERO_.*|SELF_SIGNED_.*|UNABLE_TO_.*)$/;

/** What fetch has thrown. The reason is deep inside it. */
export function toConnectionError(thrown: unknown): ConnectionError {
  if (thrown instanceof ConnectionError) return thrown;
  let reason = thrown as NodeJS.ErrnoException;
  while (reason.cause instanceof Error && typeof reason.code !== 'string') {
    reason = reason.cause as NodeJS.ErrnoException;
  }
  const code = typeof reason.code === 'string' ? reason.code : '';
  const said = reason.message || code || 'the connection broke';
  return new ConnectionError(said.includes(code) ? said : `${said} (${code})`, {
    isUnsent: UNSENT.test(code),
    // Without a code it is something that fetch would not even try.
    isPassing: code !== '' && !LASTING.test(code),
    cause: thrown,
  });
}
