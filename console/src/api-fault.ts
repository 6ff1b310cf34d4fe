import type { components } from '../../src/gen/openapi.ts';

type ErrorBody = components['schemas']['Error'];

/** One part of a request that breaks the contract; `pointer` is an RFC 6901 pointer into the body. */
export interface FieldFault {
  readonly pointer: string;
  readonly message: string;
}

interface Facts {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly requestId?: string | undefined;
  readonly errors?: readonly FieldFault[] | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** Why the gateway did not do what it was asked. The status is 0 and the code NETWORK where no answer came. */
export class ApiFault extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryable: boolean;
  readonly requestId: string | undefined;
  readonly errors: readonly FieldFault[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor({ status, code, message, retryable, requestId, errors, retryAfterSeconds }: Facts) {
    super(message);
    this.name = 'ApiFault';
    this.status = status;
    this.code = code;
    this.retryable = retryable;
    this.requestId = requestId;
    this.errors = errors;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No answer came: the network, a proxy that hung up, or a gateway that is away. */
export function networkFault(): ApiFault {
  const message = 'The gateway cannot be reached. Check the connection and try again.';
  return new ApiFault({ status: 0, code: 'NETWORK', message, retryable: true });
}

/** What the body of an error says; also of the `error` event of a stream. */
export function faultOf(body: ErrorBody, retryAfterSeconds?: number): ApiFault {
  const { status, code, message, retryable, request_id: requestId, errors } = body;
  return new ApiFault({ status, code, message, retryable, requestId, errors, retryAfterSeconds });
}

const TEMPORARY = [429, 502, 503, 504];

/** Reads an answer that is no success. A proxy in front of the gateway has another body, or none. */
export async function readFault(response: Response): Promise<ApiFault> {
  const { status } = response;
  const retryAfterSeconds = Number(response.headers.get('Retry-After')) || undefined;
  const body: unknown = await response.json().catch(() => undefined);
  if (isErrorBody(body)) return faultOf(body, retryAfterSeconds);
  const message = `The server answered ${status}${response.statusText && ` ${response.statusText}`}.`;
  const requestId = response.headers.get('X-Request-Id') ?? undefined;
  return new ApiFault({
    status,
    code: `HTTP_${status}`,
    message,
    retryable: TEMPORARY.includes(status),
    requestId,
    retryAfterSeconds,
  });
}

function isErrorBody(body: unknown): body is ErrorBody {
  return typeof body === 'object' && body !== null && 'code' in body && 'message' in body && 'status' in body;
}
