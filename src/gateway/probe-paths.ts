/** What machines ask every few seconds, each pod by its address. */
export const PROBE_PATHS: ReadonlySet<string> = new Set(['/v1/healthz', '/v1/readyz', '/metrics']);
