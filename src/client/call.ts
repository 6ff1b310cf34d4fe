import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, ConnectionError, toApiError, toConnectionError } from './api-error.ts';
import { readText } from './body.ts';
import type { ErrorBody } from './contract.ts';

/** The gateway gives up on a request sooner. */
const ANSWER_MS = 60_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;

export interface Clock {
  /** Milliseconds since any moment. */
  readonly now: () => number;
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<unknown>;
}

export type Trouble = ApiError | ConnectionError;

export interface CallerOptions {
  /** Where the API is, without a slash at its end. */
  readonly url: string;
  readonly token: string;
  readonly userAgent?: string;
  /** How long to go on trying, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal;
  /** Told of each fault after which there is another attempt. */
  readonly onTrouble?: (trouble: Trouble, delayMs: number) => void;
  readonly fetch?: typeof fetch;
  readonly clock?: Clock;
}

export interface Call {
  readonly method?: string;
  /** From the URL of the API on; or a whole URL, to which the credential is not sent. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** `safe`: whatever became of the first call, a second one does no harm. `refused`: only one that did nothing. */
  readonly repeat?: 'safe' | 'refused';
}

export type Caller = ReturnType<typeof createCaller>;

/**
 * Calls the API. Throws an ApiError for any answer but 2xx and 302, a ConnectionError when there is none, and the
 * signal's reason when it is aborted.
 */
export function createCaller({
  url,
  token,
  userAgent = 'foldforge',
  timeoutMs = 60_000,
  signal = new AbortController().signal,
  onTrouble = () => undefined,
  fetch: send = fetch,
  clock = { now: () => performance.now(), sleep: (delayMs, stop) => sleep(delayMs, undefined, { signal: stop }) },
}: CallerOptions) {
  async function answerTo({ method = 'GET', path, headers, body }: Call): Promise<Response> {
    const late = new AbortController();
    // Who goes on trying for 5 seconds does not wait longer for one answer; 0 is one attempt, as long as it takes.
    const answerMs = Math.min(ANSWER_MS, timeoutMs || ANSWER_MS);
    const timer = setTimeout(() => late.abort(new ConnectionError(`no answer within ${answerMs / 1000} s`)), answerMs);
    const isOurs = path.startsWith('/');
    try {
      return await send(isOurs ? url + path : path, {
        method,
        headers: { 'User-Agent': userAgent, ...(isOurs && { Authorization: `Bearer ${token}` }), ...headers },
        ...(body !== undefined && { body }),
        // The contract has one redirect, and the credential goes nowhere else.
        redirect: 'manual',
        signal: AbortSignal.any([signal, late.signal]),
      });
    } catch (error) {
      signal.throwIfAborted();
      throw toConnectionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async function attempt<T>(call: Call, read: (response: Response) => Promise<T>): Promise<T> {
    const response = await answerTo(call);
    if (response.ok || response.status === 302) return read(response);
    throw await readError(response, signal);
  }

  return {
    attempt,
    clock,
    signal,
    timeoutMs,
    onTrouble,

    /** Attempts until one succeeds, fails for good, or `timeoutMs` have passed. */
    async call<T>(call: Call, read: (response: Response) => Promise<T>): Promise<T> {
      const deadline = clock.now() + timeoutMs;
      for (let turn = 0; ; turn++) {
        try {
          return await attempt(call, read);
        } catch (error) {
          if (!isTrouble(error) || !mayRepeat(error, call)) throw error;
          const delayMs = delayAfter(error, turn);
          if (clock.now() + delayMs > deadline) throw error;
          onTrouble(error, delayMs);
          await clock.sleep(delayMs, signal);
        }
      }
    },

    /** The JSON of an answer. Throws an ApiError for anything else. */
    async readJson<T>(response: Response): Promise<T> {
      const text = await readText(response, signal);
      const { status } = response;
      const answer = parse(text);
      if (status !== 302 && answer !== undefined) return answer as T;
      const message = `${url} did not answer with JSON; is it a FoldForge gateway?`;
      throw new ApiError(message, { status, code: `HTTP_${status}`, retryable: false });
    },
  };
}

export function isTrouble(error: unknown): error is Trouble {
  return error instanceof ApiError || error instanceof ConnectionError;
}

function mayRepeat(error: Trouble, { repeat = 'safe' }: Call): boolean {
  if (repeat === 'safe') return error.isPassing;
  return error instanceof ConnectionError ? error.isPassing && error.isUnsent : error.retryable;
}

/** As long as the server has asked for; otherwise longer each time. Never in step with other clients. */
export function delayAfter(error: Trouble, turn: number, firstMs = FIRST_DELAY_MS): number {
  const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
  if (asked !== undefined) return asked + Math.random() * FIRST_DELAY_MS;
  return Math.min(firstMs * 2 ** turn, LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
}

/** Milliseconds, from whole seconds or a date (RFC 9110, section 10.2.3). */
export function readRetryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

async function readError(response: Response, signal: AbortSignal): Promise<ApiError> {
  const { status, headers } = response;
  const retryAfterMs = readRetryAfter(headers.get('retry-after'));
  const body = parse(await readText(response, signal));
  if (isErrorBody(body)) return toApiError(body, retryAfterMs);
  const requestId = headers.get('x-request-id') ?? undefined;
  const target = headers.get('location');
  const message = target ? `redirects to ${target}` : `${response.statusText}, which is not the API's own answer`;
  return new ApiError(message, { status, code: `HTTP_${status}`, retryable: false, requestId, retryAfterMs });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isErrorBody(body: unknown): body is ErrorBody {
  if (typeof body !== 'object' || body === null) return false;
  const { status, code, message } = body as Partial<ErrorBody>;
  return typeof status === 'number' && typeof code === 'string' && typeof message === 'string';
}
