import { S3Error } from './s3-error.ts';

/** Percent-decoding. Throws InvalidURI where it is malformed or not UTF-8. */
export function decodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidURI', 'The URI is not valid percent-encoded UTF-8.');
  }
}

/** Percent-encoding of all but the unreserved characters of RFC 3986, section 2.3. */
export function encodeUri(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
