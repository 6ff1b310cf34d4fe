import type { ReadHeader } from './http.ts';
import { S3Error } from './s3-error.ts';

/** What conditions speak of. */
export interface Validators {
  /** With its quotes. */
  readonly etag: string;
  readonly modifiedMs: number;
}

/**
 * Weighs the conditions of a read (RFC 9110, section 13.2.2): throws PreconditionFailed, or answers whether the client's
 * copy is still good (304). `prefix` is for the conditions on the source of a copy.
 */
export function isNotModified(header: ReadHeader, found: Validators, prefix = ''): boolean {
  const modifiedS = Math.floor(found.modifiedMs / 1000);
  const ifMatch = header(`${prefix}if-match`);
  const ifUnmodifiedSince = readSeconds(header(`${prefix}if-unmodified-since`));
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, found.etag)) throw preconditionFailed('If-Match');
  } else if (ifUnmodifiedSince !== undefined && modifiedS > ifUnmodifiedSince) {
    throw preconditionFailed('If-Unmodified-Since');
  }
  const ifNoneMatch = header(`${prefix}if-none-match`);
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch.replaceAll('W/', ''), found.etag);
  const ifModifiedSince = readSeconds(header(`${prefix}if-modified-since`));
  return ifModifiedSince !== undefined && modifiedS <= ifModifiedSince;
}

/** Weighs the conditions of a write against what is there now, if anything. Throws S3Error. */
export function requireWritable(header: ReadHeader, found: Validators | undefined): void {
  const ifNoneMatch = header('if-none-match');
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new S3Error('NotImplemented', 'A write may have If-None-Match only with *.');
  }
  if (ifNoneMatch === '*' && found) throw preconditionFailed('If-None-Match');
  const ifMatch = header('if-match');
  if (ifMatch === undefined) return;
  if (!found) throw new S3Error('NoSuchKey', 'The specified key does not exist.');
  if (!matches(ifMatch, found.etag)) throw preconditionFailed('If-Match');
}

/** Whether a list of tags has `etag`, or is a star. Some clients leave out the quotes. */
function matches(list: string, etag: string): boolean {
  const bare = (tag: string) => tag.trim().replaceAll('"', '');
  return list.split(',').some((tag) => tag.trim() === '*' || bare(tag) === bare(etag));
}

/** Whole seconds since 1970; undefined for what is not a date, which is to be ignored. */
function readSeconds(date: string | undefined): number | undefined {
  const ms = Date.parse(date ?? '');
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

function preconditionFailed(condition: string): S3Error {
  return new S3Error(
    'PreconditionFailed',
    `At least one of the pre-conditions you specified did not hold: ${condition}`,
  );
}
