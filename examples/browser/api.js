/** Why the server did not do what it was asked. `retryable`: the same may work a little later. */
export class RequestError extends Error {
  constructor(message, { retryable, retryAfterMs = 0 }) {
    super(message);
    this.name = 'RequestError';
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Waits for the network. A connection that is lost is a RequestError; an abort throws the signal's reason. */
export async function overNetwork(promise, signal) {
  try {
    return await promise;
  } catch {
    signal.throwIfAborted();
    throw new RequestError('the connection was lost', { retryable: true });
  }
}

/**
 * Calls the API on the origin that the page came from. The key goes into a header, where no log and no history keeps
 * it. Throws a RequestError unless the answer is 2xx.
 */
export async function callApi(path, { apiKey, headers, signal, ...init }) {
  // Made outside of the call, for a key that no header can carry is not the network's fault.
  const request = new Request(path, {
    ...init,
    cache: 'no-store',
    headers: { ...headers, Authorization: `Bearer ${apiKey}` },
    signal,
  });
  const response = await overNetwork(fetch(request), signal);
  if (!response.ok) throw await readRefusal(response);
  return response;
}

/** The state that the workflow has now. */
export async function readState(workflowId, { apiKey, signal }) {
  const response = await callApi(`/v1/workflows/${encodeURIComponent(workflowId)}`, { apiKey, signal });
  return (await overNetwork(response.json(), signal)).state;
}

/** What an `event: error` carries is the body that every error of the API has. */
export function toRequestError({ message, retryable }) {
  return new RequestError(message, { retryable });
}

const TEMPORARY = [408, 429, 502, 503];

async function readRefusal(response) {
  // What a proxy in front of the API answers has no such body.
  const body = await response.json().catch(() => undefined);
  const message = body?.message ?? `the server answered ${response.status}`;
  // Whatever these modules ask for may be asked for twice, so a timeout (504) is no reason to give up.
  const retryable = response.status === 504 || (body?.retryable ?? TEMPORARY.includes(response.status));
  return new RequestError(message, {
    retryable,
    retryAfterMs: Number(response.headers.get('Retry-After')) * 1_000 || 0,
  });
}
