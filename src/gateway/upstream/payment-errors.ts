import type { Call } from '../context.ts';
import { type Fault, GatewayError } from '../errors.ts';

interface Circumstances {
  readonly call: Pick<Call, 'signal'>;
  /** Aborted when the time is up, or the client has gone away. */
  readonly over: AbortSignal;
  /** Of the last answer, if there was one. */
  readonly status: number | undefined;
  /** What no log and no client may see. */
  readonly secrets: readonly string[];
}

/** What is of interest of an error of the package. Its other members hold headers and bodies. */
interface StripeFailure {
  readonly type?: unknown;
  readonly code?: unknown;
  readonly param?: unknown;
  readonly requestId?: unknown;
}

/** The members of our request that a parameter or a code of Stripe's speaks of, as pointers. */
const POINTERS: readonly (readonly [told: RegExp, pointer: string])[] = [
  [/^success_url$/, '/success_url'],
  [/^cancel_url$/, '/cancel_url'],
  [/^line_items\b.*\[unit_amount\]$|^amount_too_(?:small|large)$/, '/credits'],
];

// Stripe masks the keys in its messages, but leaves their last characters.
const KEY = /\b(?:sk|rk|pk|whsec)_[\w*]+/g;

/**
 * A failed call to Stripe. UNAVAILABLE where another session may be opened later: Stripe was not reached, too slow, broken
 * or busy. INVALID_ARGUMENT with a pointer for what the client can mend. All else is between Stripe and the operator.
 */
export function fromStripe(thrown: unknown, { call, over, status, secrets }: Circumstances): GatewayError {
  if (call.signal.aborted) return new GatewayError('CLIENT_CLOSED_REQUEST', 'the client went away');
  const told = redact(describe(thrown), secrets);
  // Without the error itself, which holds what Stripe answered.
  const cause = redactedStack(thrown, secrets);
  if (over.aborted) {
    const last = status === undefined ? 'no answer' : `no good answer (${status})`;
    return new GatewayError('UNAVAILABLE', `Stripe: ${last} in time`, { cause });
  }
  const { type } = thrown as StripeFailure;
  const isBusy = status !== undefined && (status === 429 || status >= 500);
  if (isBusy || type === 'StripeConnectionError' || type === 'StripeRateLimitError') {
    return new GatewayError('UNAVAILABLE', `Stripe: ${told}`, { cause });
  }
  const fault = type === 'StripeInvalidRequestError' && status === 400 ? faultOf(thrown as Error, secrets) : undefined;
  if (!fault) return new GatewayError('PAYMENT_PROVIDER_ERROR', `Stripe: ${told}`, { cause });
  return new GatewayError('INVALID_ARGUMENT', `${fault.pointer} ${fault.message}`, { faults: [fault] });
}

function faultOf(error: Error & StripeFailure, secrets: readonly string[]): Fault | undefined {
  const match = POINTERS.find(([told]) => [error.param, error.code].some((text) => told.test(String(text))));
  return match && { pointer: match[1], message: `is refused by Stripe: ${redact(error.message, secrets)}` };
}

/** In one line: what went wrong, and under which id Stripe knows it. */
function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { type, code, param, requestId } = thrown as StripeFailure;
  const facts = [type, code, param, requestId].filter((fact) => typeof fact === 'string');
  return [...facts, ...messages(thrown)].join(': ');
}

/** Why a connection failed is several errors deep. */
function messages(error: unknown, depth = 4): string[] {
  if (!(error instanceof Error) || depth === 0) return [];
  const { detail, exception, cause } = error as { detail?: unknown; exception?: unknown; cause?: unknown };
  return [error.message, ...messages(detail ?? exception ?? cause, depth - 1)];
}

function redactedStack(thrown: unknown, secrets: readonly string[]): Error {
  const { message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const copy = new Error(redact(message, secrets));
  copy.stack = redact(stack ?? '', secrets);
  return copy;
}

function redact(text: string, secrets: readonly string[]): string {
  const withoutKnown = secrets
    .filter((secret) => secret !== '')
    .reduce((redacted, secret) => redacted.replaceAll(secret, '[redacted]'), text);
  return withoutKnown.replace(KEY, '[redacted]');
}
