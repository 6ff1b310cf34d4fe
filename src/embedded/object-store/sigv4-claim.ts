import { S3Error } from './s3-error.ts';

/** What of a request is signed: everything but the body, for which a hash or a placeholder stands. */
export interface SignedRequest {
  readonly method: string;
  /** As it came, still percent-encoded. */
  readonly rawPath: string;
  /** Decoded, in any order. */
  readonly query: URLSearchParams;
  /** All values of each header, by lower-case name. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** What a request says of its signature, before anything is believed. */
export interface Claim {
  readonly accessKeyId: string;
  /** Day, region, service and terminator. */
  readonly scope: readonly string[];
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly timestamp: string;
  readonly payload: string;
}

export const ALGORITHM = 'AWS4-HMAC-SHA256';
const MAX_SKEW_MS = 15 * 60_000;
const MAX_EXPIRES_S = 7 * 86_400;

/** Reads the claim in the Authorization header or in the query of a presigned URL, if its time is now. Throws S3Error. */
export function readClaim(request: SignedRequest, nowMs: number): Claim {
  return request.query.has('X-Amz-Signature') ? readPresigned(request, nowMs) : readAuthorization(request, nowMs);
}

const AUTHORIZATION = /^AWS4-HMAC-SHA256 +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})$/;

function readAuthorization({ headers }: SignedRequest, nowMs: number): Claim {
  const header = headers.authorization?.[0];
  if (header === undefined) throw new S3Error('AccessDenied', 'The request is not signed.');
  const [, credential = '', signedHeaders = '', signature = ''] = AUTHORIZATION.exec(header) ?? [];
  const payload = headers['x-amz-content-sha256']?.[0];
  if (!payload) throw new S3Error('MissingSecurityHeader', 'The header x-amz-content-sha256 is missing.');
  const timestamp = headers['x-amz-date']?.[0] ?? '';
  if (Math.abs(nowMs - readTimestamp(timestamp)) > MAX_SKEW_MS) {
    throw new S3Error('RequestTimeTooSkewed', 'The time of the request and the time here are too far apart.');
  }
  return {
    ...readCredential(credential, 'AuthorizationHeaderMalformed'),
    signedHeaders: signedHeaders.split(';'),
    signature,
    timestamp,
    payload,
  };
}

function readPresigned({ query, headers }: SignedRequest, nowMs: number): Claim {
  const parameter = (name: string) => {
    const values = query.getAll(`X-Amz-${name}`);
    if (values.length === 1) return values[0]!;
    throw new S3Error('AuthorizationQueryParametersError', `The query must have X-Amz-${name} once.`);
  };
  const expires = parameter('Expires');
  const expiresS = /^\d{1,7}$/.test(expires) ? Number(expires) : 0;
  if (parameter('Algorithm') !== ALGORITHM || expiresS < 1 || expiresS > MAX_EXPIRES_S) {
    throw new S3Error('AuthorizationQueryParametersError', 'X-Amz-Algorithm or X-Amz-Expires is not allowed.');
  }
  const timestamp = parameter('Date');
  const signedMs = readTimestamp(timestamp);
  if (nowMs > signedMs + expiresS * 1000) throw new S3Error('AccessDenied', 'Request has expired');
  if (nowMs < signedMs - MAX_SKEW_MS) throw new S3Error('AccessDenied', 'Request is not yet valid');
  return {
    ...readCredential(parameter('Credential'), 'AuthorizationQueryParametersError'),
    signedHeaders: parameter('SignedHeaders').split(';'),
    signature: parameter('Signature'),
    timestamp,
    payload: query.get('X-Amz-Content-Sha256') ?? headers['x-amz-content-sha256']?.[0] ?? 'UNSIGNED-PAYLOAD',
  };
}

/** 20260131T235959Z as milliseconds since 1970. */
function readTimestamp(timestamp: string): number {
  const iso = timestamp.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\dZ)$/, '$1-$2-$3:$4:$5');
  const ms = iso === timestamp ? Number.NaN : Date.parse(iso);
  if (Number.isNaN(ms)) throw new S3Error('AccessDenied', 'The request has no valid X-Amz-Date.');
  return ms;
}

/** The key id may itself have slashes. */
function readCredential(
  credential: string,
  code: 'AuthorizationHeaderMalformed' | 'AuthorizationQueryParametersError',
) {
  const parts = credential.split('/');
  if (parts.length < 5) throw new S3Error(code, 'The signature is not one of version 4, or lacks a part.');
  return { accessKeyId: parts.slice(0, -4).join('/'), scope: parts.slice(-4) };
}
