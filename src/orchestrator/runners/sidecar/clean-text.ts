/**
 * What a sidecar wrote, fit to be stored: Postgres takes neither NUL nor half a surrogate pair in JSON. Longer texts are
 * cut to `maxCharacters`.
 */
export function cleanText(text: string, maxCharacters = Number.POSITIVE_INFINITY): string {
  const whole = text.length > maxCharacters ? `${text.slice(0, maxCharacters - 1)}…` : text;
  return whole.replaceAll('\0', '\uFFFD').toWellFormed();
}
