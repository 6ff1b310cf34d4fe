import type { IncomingHttpHeaders } from 'node:http';
import { GatewayError } from '../errors.ts';

/** What every body is (RFC 8259), and all that it is: what is compressed may be a thousand times as large as it looks. */
export const BODY_TYPE = 'application/json';

type BodyHeaders = Pick<IncomingHttpHeaders, 'content-type' | 'content-encoding'>;

/** Throws UNSUPPORTED_MEDIA_TYPE, before anything of the body is read. */
export function requireMediaType(headers: BodyHeaders): void {
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (mediaType !== BODY_TYPE) {
    throw new GatewayError('UNSUPPORTED_MEDIA_TYPE', `the body must have the Content-Type ${BODY_TYPE}`);
  }
  if (encoding !== 'identity') {
    throw new GatewayError('UNSUPPORTED_MEDIA_TYPE', 'the body must not have a Content-Encoding');
  }
}
