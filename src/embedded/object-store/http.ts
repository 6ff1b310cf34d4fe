import type { Readable } from 'node:stream';
import type { Body } from './body.ts';
import { S3Error } from './s3-error.ts';
import { decodeUri } from './uri-encoding.ts';

/** All values of each header, by lower-case name. */
export type HeaderValues = Readonly<Record<string, readonly string[]>>;

/** Reads a header by its lower-case name; undefined when it is missing. */
export type ReadHeader = (name: string) => string | undefined;

/** Where a request points to, path-style: /bucket/key?query. */
export interface Target {
  /** Still percent-encoded, as it was signed. */
  readonly rawPath: string;
  readonly query: URLSearchParams;
  /** Empty for the service itself. */
  readonly bucket: string;
  /** Empty for the bucket itself. */
  readonly key: string;
}

/** A request whose signature held. */
export interface Call extends Target {
  readonly method: string;
  readonly headers: HeaderValues;
  readonly header: ReadHeader;
  readonly body: Body;
}

/** What to send back. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Readable | undefined;
}

export type Handler = (call: Call) => Promise<Answer>;

/** Reads the target of a request. Throws S3Error. */
export function readTarget(url: string): Target {
  const cut = url.indexOf('?');
  const rawPath = cut < 0 ? url : url.slice(0, cut);
  if (!rawPath.startsWith('/')) throw new S3Error('InvalidURI', 'The request target must be a path.');
  const [, bucket = '', ...key] = rawPath.split('/').map(decodeUri);
  // A plus sign stands for itself here, unlike in a form.
  const query = new URLSearchParams(cut < 0 ? '' : url.slice(cut + 1).replaceAll('+', '%2B'));
  return { rawPath, query, bucket, key: requireShort(key.join('/')) };
}

function requireShort(key: string): string {
  if (Buffer.byteLength(key) <= 1024) return key;
  throw new S3Error('KeyTooLongError', 'Your key is longer than 1024 bytes.');
}

export function xmlAnswer(body: string, status = 200): Answer {
  return { status, headers: { 'content-type': 'application/xml' }, body };
}
