import type {
  ConsumeQuotaResponse,
  Quota as QuotaMessage,
} from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { Quota } from '../context.ts';

/** Retry-After for an orchestrator that does not say when the window ends, in seconds. */
const UNKNOWN_WINDOW_SECONDS = 60;
/** The largest integer of a structured field (RFC 9651, section 3.3.1). */
const MAX_FIELD_INTEGER = 999_999_999_999_999n;

/** Undefined without a limit. */
export function quotaFromProto(quota: QuotaMessage | undefined, nowMs = Date.now()): Quota | undefined {
  if (!quota || quota.limit <= 0n) return undefined;
  const { limit, used, windowSeconds, resetsIn } = quota;
  const resets = resetsIn && { resetsAtMs: nowMs + roundUp(resetsIn) };
  return { limit, used, ...(windowSeconds > 0n && { windowSeconds }), ...resets };
}

/** The same of the base contract's answer, which does not tell the window; its end, where it is told, is by another clock. */
export function quotaFromCount({ limit, used, resetsAt }: ConsumeQuotaResponse, nowMs = Date.now()): Quota | undefined {
  if (limit <= 0n) return undefined;
  return { limit, used, ...(resetsAt && { resetsAtMs: Math.max(roundUp(resetsAt), nowMs + 1000) }) };
}

/** In milliseconds: nobody is told to come too early. */
function roundUp({ seconds, nanos }: { readonly seconds: bigint; readonly nanos: number }): number {
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}

/** Whole seconds until the quota begins anew, at least 1. */
export function secondsUntilReset({ resetsAtMs }: Partial<Quota>, nowMs = Date.now()): number {
  return resetsAtMs === undefined ? UNKNOWN_WINDOW_SECONDS : Math.max(1, Math.ceil((resetsAtMs - nowMs) / 1000));
}

/**
 * What is left of a quota: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), and the widespread
 * `X-RateLimit-*`, whose reset is in seconds since 1970. No reset is said while no window is open.
 */
export function rateLimitHeaders(quota: Quota | undefined, nowMs = Date.now()): Record<string, string> {
  if (!quota) return {};
  const { windowSeconds, resetsAtMs } = quota;
  const isOver = resetsAtMs !== undefined && resetsAtMs <= nowMs;
  const limit = fieldInteger(quota.limit);
  const remaining = fieldInteger(isOver ? quota.limit : quota.limit - quota.used);
  const window = windowSeconds === undefined ? '' : `;w=${fieldInteger(windowSeconds)}`;
  const headers: Record<string, string> = {
    'RateLimit-Policy': `"submissions";q=${limit}${window}`,
    RateLimit: `"submissions";r=${remaining}`,
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
  };
  if (resetsAtMs !== undefined && !isOver) {
    headers.RateLimit += `;t=${secondsUntilReset(quota, nowMs)}`;
    headers['X-RateLimit-Reset'] = String(Math.ceil(resetsAtMs / 1000));
  }
  return headers;
}

function fieldInteger(value: bigint): bigint {
  if (value < 0n) return 0n;
  return value > MAX_FIELD_INTEGER ? MAX_FIELD_INTEGER : value;
}
