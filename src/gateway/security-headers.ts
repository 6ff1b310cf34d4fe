/** A year, in seconds; subdomains are not ours to speak of. */
const STRICT_TRANSPORT = 'max-age=31536000';

/**
 * What every answer says to browsers; pages and files say something else in place of the policy. Nothing of an answer is ever
 * run, framed, or loaded by a page of another origin: such a page may `fetch` it where CORS allows it, which this does not
 * touch, and could not send a credential otherwise.
 */
export const SECURITY_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

/** The same, with what makes sense of a connection that is encrypted (RFC 6797, section 7.2: never over plain HTTP). */
export function securityHeaders({ tls }: { tls: boolean }): Readonly<Record<string, string>> {
  return tls ? { ...SECURITY_HEADERS, 'Strict-Transport-Security': STRICT_TRANSPORT } : SECURITY_HEADERS;
}
