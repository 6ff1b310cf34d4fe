import { setTimeout as sleep } from 'node:timers/promises';
import createClient from 'openapi-fetch';
import type { components, paths } from './openapi.d.ts';

export type Schemas = components['schemas'];
export type FoldForge = ReturnType<typeof createFoldForge>;

/** Every operation of the contract, with its types. */
export function createFoldForge({ url, apiKey }: { url: string; apiKey: string }) {
  return createClient<paths>({
    baseUrl: url,
    headers: { Authorization: `Bearer ${apiKey}` },
    // The slashes of an artifact's key stay as they are.
    pathSerializer: (path, params) =>
      path.replace(/\{(\w+)\}/g, (_, name) => String(params[name]).split('/').map(encodeURIComponent).join('/')),
  });
}

/** What the server answered instead of what was asked for. */
export class ApiError extends Error {
  /** Seconds to wait before the same call is worth another try; undefined: it is not. */
  readonly retryAfterSeconds: number | undefined;

  constructor({ status, code, message, request_id, errors = [] }: Schemas['Error'], retryAfterSeconds?: number) {
    const places = errors.map((each) => `\n  ${each.pointer}: ${each.message}`);
    super(`${status} ${code}: ${message} (request ${request_id})${places.join('')}`);
    this.name = 'ApiError';
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The body of an answer. Throws an ApiError for a refusal. */
export function bodyOf<Data>({ data, error, response }: { data?: Data; error?: unknown; response: Response }): Data {
  if (response.ok) return data as Data;
  throw toApiError(error, response);
}

export function toApiError(error: unknown, { status, headers, statusText }: Response): ApiError {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  const body = error as Partial<Schemas['Error']> | undefined;
  // A proxy on the way speaks for itself, and not in our words.
  if (!body?.code) return new ApiError(fromElsewhere(status, statusText), status >= 502 ? seconds || 1 : undefined);
  return new ApiError(body as Schemas['Error'], body.retryable ? seconds || 1 : undefined);
}

function fromElsewhere(status: number, title: string): Schemas['Error'] {
  const words = { code: 'UNAVAILABLE', message: `a proxy answered ${status} ${title}`, title, detail: title } as const;
  return { ...words, status, retryable: false, request_id: 'unknown', type: 'about:blank', instance: '' };
}

const ATTEMPTS = 5;

/** Makes a call that is safe to repeat, again after a lost connection and whenever the server says that it can help. */
export async function repeat<Result>(call: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const waitSeconds = secondsToWait(error);
      if (waitSeconds === undefined || attempt === ATTEMPTS) throw error;
      await sleep(waitSeconds * 1_000);
    }
  }
}

/** How long to wait before a repetition; undefined: it would not help. */
export function secondsToWait(error: unknown): number | undefined {
  if (error instanceof ApiError) return error.retryAfterSeconds;
  return isLostConnection(error) ? 1 : undefined;
}

/** fetch throws a TypeError when there is no answer, or only half of one. */
export function isLostConnection(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof DOMException && error.name === 'TimeoutError');
}
