import { GatewayError } from '../errors.ts';

/** The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1). Throws UNAUTHENTICATED. */
export function readBearerToken(authorization: string | undefined): string {
  if (authorization === undefined) throw unauthenticated('send Authorization: Bearer <API key>');
  const match = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization);
  if (!match) throw unauthenticated('the Authorization header must be: Bearer <API key>');
  return match[1]!;
}

export function unauthenticated(
  message: string,
  code: 'UNAUTHENTICATED' | 'KEY_REVOKED' | 'KEY_EXPIRED' = 'UNAUTHENTICATED',
): GatewayError {
  return new GatewayError(code, message, { headers: { 'WWW-Authenticate': 'Bearer' } });
}
