/** How many submissions a key has left. */
export interface Quota {
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds since 1970; absent while no window is open. */
  readonly resetsAt?: number;
}

/** Reads the X-RateLimit headers. A credential without a limit has none: undefined. */
export function readQuota(headers: Headers): Quota | undefined {
  const limit = readNumber(headers, 'X-RateLimit-Limit');
  const remaining = readNumber(headers, 'X-RateLimit-Remaining');
  const reset = readNumber(headers, 'X-RateLimit-Reset');
  if (limit === undefined || remaining === undefined) return undefined;
  return { limit, remaining, ...(reset !== undefined && { resetsAt: reset * 1_000 }) };
}

function readNumber(headers: Headers, name: string): number | undefined {
  const text = headers.get(name);
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
}
