import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import { readDurationMs } from '../duration.ts';

/** RFC 3339, section 5.6, without leap seconds; or its date alone. */
const TIME = /^(\d{4}-\d\d-\d\d)(?:T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/i;

/**
 * Reads when a key is to expire: an RFC 3339 time, a date (its beginning in UTC), or a number of minutes, hours or days
 * after `nowMs` (milliseconds since 1970), such as 90d. Throws StartupError, exit code 64.
 */
export function readExpiry(text: string, nowMs: number): Date {
  const durationMs = readDurationMs(text);
  const expiresMs = durationMs === undefined ? readTime(text) : nowMs + durationMs;
  if (expiresMs === undefined) {
    throw new StartupError(
      `--expires is "${text}", but must be a time such as 2030-01-31T18:00:00Z, a date such as 2030-01-31, or a duration from now such as 90d, 12h or 30m`,
      EX_USAGE,
    );
  }
  if (expiresMs > nowMs) return new Date(expiresMs);
  throw new StartupError(`--expires is "${text}", but must be in the future`, EX_USAGE);
}

function readTime(text: string): number | undefined {
  const day = TIME.exec(text)?.[1];
  if (!day) return undefined;
  // The 30th of February would be taken for a day of March.
  const dayMs = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(dayMs) || !new Date(dayMs).toISOString().startsWith(day)) return undefined;
  return Date.parse(text.toUpperCase());
}
