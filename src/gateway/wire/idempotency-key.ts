/** The key itself: a quoted structured-field string (RFC 8941, section 3.3.3) is unwrapped, a bare one stays. */
export function readIdempotencyKey(header: string | undefined): string {
  if (!header?.startsWith('"')) return header ?? '';
  return header.slice(1, -1).replace(/\\(["\\])/g, '$1');
}
