import { hash } from 'node:crypto';
import { GatewayError } from '../errors.ts';

/** The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1). Throws UNAUTHENTICATED. */
export function readBearerToken(authorization: string | undefined): string {
  if (authorization === undefined) throw unauthenticated('send Authorization: Bearer <API key>');
  const match = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization);
  if (!match) throw unauthenticated('the Authorization header must be: Bearer <API key>');
  return match[1]!;
}

/** What a token is compared and looked up by: its SHA-256 in lower-case hex. */
export function hashToken(token: string): string {
  return hash('sha256', token);
}

// The names under which keys are sent in queries elsewhere, and anything of the form of our keys.
const KEY_IN_QUERY =
  /[?&](?:access_?token|api_?key|apikey|auth|authorization|bearer|key|token)=|ffk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}/i;

/** URLs are logged on their way: a long-lived key in one is refused with what to do instead. Throws INVALID_ARGUMENT. */
export function refuseKeyInQuery(target: string): void {
  const query = target.indexOf('?');
  if (query >= 0 && KEY_IN_QUERY.test(target.slice(query))) throw keyInQuery();
}

export function keyInQuery(): GatewayError {
  const message =
    'a key does not belong in a URL, where it is logged: send Authorization: Bearer <API key>; for an EventSource, get a ticket from POST /v1/workflows/{id}/stream-tickets and send ?ticket=<ticket>';
  return new GatewayError('INVALID_ARGUMENT', message, { faults: [{ pointer: '#/query', message }] });
}

export function unauthenticated(
  message: string,
  code: 'UNAUTHENTICATED' | 'KEY_REVOKED' | 'KEY_EXPIRED' = 'UNAUTHENTICATED',
): GatewayError {
  return new GatewayError(code, message, { headers: { 'WWW-Authenticate': 'Bearer' } });
}

/** The 401 for a key that the orchestrator refuses; its reason is free text, of which two words have codes. */
export function refused(denyReason: string): GatewayError {
  if (/revoked/i.test(denyReason)) return unauthenticated('the API key was revoked', 'KEY_REVOKED');
  if (/expired/i.test(denyReason)) return unauthenticated('the API key has expired', 'KEY_EXPIRED');
  return unauthenticated('the credential is not valid');
}
