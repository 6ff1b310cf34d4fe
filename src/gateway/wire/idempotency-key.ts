import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';

/** How a repetition is told: the caller's key, and what the same body always has in common. */
export interface Idempotency {
  readonly key: string;
  /** Hex SHA-256 of the body as canonical JSON (RFC 8785). */
  readonly bodyDigest: string;
}

/** The key of the header, and the digest of the body, which is JSON. Undefined without a key. */
export function readIdempotency(header: string | undefined, bodyText: string): Idempotency | undefined {
  if (header === undefined) return undefined;
  // As it was sent: defaults that a later version fills in must not make it another body.
  return { key: readIdempotencyKey(header), bodyDigest: hash('sha256', canonicalize(JSON.parse(bodyText))!) };
}

/** The key itself: a quoted structured-field string (RFC 9651, section 3.3.3) is unwrapped, a bare one stays. */
export function readIdempotencyKey(header: string): string {
  if (!header.startsWith('"')) return header;
  return header.slice(1, -1).replace(/\\(["\\])/g, '$1');
}
