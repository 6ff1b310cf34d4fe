/** Undefined for what a structure leaves out: an empty column, "." or "?"; and for what is no number. */
export function readNumber(text: string | undefined): number | undefined {
  if (text === undefined || text === '' || text === '.' || text === '?') return undefined;
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}
