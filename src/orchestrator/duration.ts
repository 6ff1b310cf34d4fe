const MINUTE_MS = 60_000;
const UNITS_MS: Readonly<Record<string, number>> = { m: MINUTE_MS, h: 60 * MINUTE_MS, d: 24 * 60 * MINUTE_MS };
const DURATION = /^(\d{1,5})([mhd])$/;

/** Reads a number of minutes, hours or days as operators write it, such as 30m, 12h or 90d. Undefined when it is none. */
export function readDurationMs(text: string): number | undefined {
  const match = DURATION.exec(text);
  return match ? Number(match[1]) * UNITS_MS[match[2]!]! : undefined;
}
