import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { S3Error } from './s3-error.ts';
import { ALGORITHM, type Claim, readClaim, type SignedRequest } from './sigv4-claim.ts';
import { decodeUri, encodeUri } from './uri-encoding.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A request whose signature held. */
export interface Authorized {
  /** The SHA-256 of the body in hex, or how the body vouches for itself, such as UNSIGNED-PAYLOAD. */
  readonly payload: string;
  /**
   * The signature that the next chunk of a body must have, or its trailers, whose SHA-256 is `hash`. Every signature
   * covers the one before, and the first one that of the request.
   */
  signNext(kind: 'PAYLOAD' | 'TRAILER', hash: string): string;
}

const EMPTY_HASH = createHash('sha256').digest('hex');

/**
 * Checks the signature of a request against the one credential there is.
 * Follows "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference. Throws S3Error.
 */
export function authorize(request: SignedRequest, credentials: Credentials, nowMs: number): Authorized {
  const claim = readClaim(request, nowMs);
  const { accessKeyId, scope, timestamp, payload } = claim;
  if (accessKeyId !== credentials.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', 'The access key id you provided does not exist here.');
  }
  if (scope[0] !== timestamp.slice(0, 8) || scope[2] !== 's3' || scope[3] !== 'aws4_request') {
    throw new S3Error('SignatureDoesNotMatch', 'The scope of the credential is not this day, S3 and version 4.');
  }
  requireSigned(request, claim.signedHeaders);

  const key = scope.reduce<Buffer | string>(hmac, `AWS4${credentials.secretAccessKey}`);
  const sign = (kind: string, ...rest: string[]) =>
    hmac(key, [kind, timestamp, scope.join('/'), ...rest].join('\n')).toString('hex');
  let previous = sign(ALGORITHM, sha256(canonicalRequest(request, claim)));
  if (!isSame(previous, claim.signature)) {
    throw new S3Error('SignatureDoesNotMatch', 'The signature we calculated does not match the one you provided.');
  }
  return {
    payload,
    signNext(kind, hash) {
      const hashes = kind === 'PAYLOAD' ? [EMPTY_HASH, hash] : [hash];
      previous = sign(`${ALGORITHM}-${kind}`, previous, ...hashes);
      return previous;
    },
  };
}

/** Whoever passes a request on, or holds a presigned URL, must not be able to add what changes its meaning. */
function requireSigned({ headers }: SignedRequest, signedHeaders: readonly string[]): void {
  const needed = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))];
  // The hash of the body is signed by itself, as the last line of the canonical request.
  const missing = needed.filter((name) => !signedHeaders.includes(name) && name !== 'x-amz-content-sha256');
  if (missing.length === 0) return;
  throw new S3Error('AccessDenied', `There were headers in the request which were not signed: ${missing.join(', ')}`);
}

function canonicalRequest({ method, rawPath, query, headers }: SignedRequest, claim: Claim): string {
  const canonicalPath = rawPath.split('/').map((segment) => encodeUri(decodeUri(segment)));
  const canonicalQuery = [...query]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]): [string, string] => [encodeUri(name), encodeUri(value)])
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`);
  const canonicalHeaders = claim.signedHeaders.map((name) => {
    const values = (headers[name] ?? []).map((value) => value.trim().replace(/ +/g, ' '));
    return `${name}:${values.join(',')}\n`;
  });
  return [
    method,
    canonicalPath.join('/'),
    canonicalQuery.join('&'),
    canonicalHeaders.join(''),
    claim.signedHeaders.join(';'),
    claim.payload,
  ].join('\n');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Compares two signatures in a time that does not tell where they differ. */
export function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
