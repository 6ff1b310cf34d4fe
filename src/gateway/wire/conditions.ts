import type { ArtifactRecord } from './artifact-record.ts';
import { matchesEntityTag } from './entity-tags.ts';

type Headers = Readonly<Record<string, string>>;
type Validators = Pick<ArtifactRecord, 'etag' | 'lastModified'>;

const IMF_FIXDATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * Whether the client has the file already: If-None-Match, else If-Modified-Since (RFC 9110, section 13.2.2). Obsolete forms of
 * a date are ignored, which costs a transfer and is never wrong.
 */
export function isNotModified(headers: Headers, { etag, lastModified }: Validators): boolean {
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined) return matchesEntityTag(ifNoneMatch, etag);
  const since = headers['if-modified-since']?.trim();
  if (since === undefined || lastModified === '' || !IMF_FIXDATE.test(since)) return false;
  return Date.parse(lastModified) <= Date.parse(since);
}

/** Whether a Range is to be kept: there is no If-Range, or it names this very version (RFC 9110, section 13.1.5). */
export function isSameVersion(headers: Headers, { etag, lastModified }: Validators): boolean {
  const ifRange = headers['if-range']?.trim();
  if (ifRange === undefined) return true;
  // Without a recorded SHA-256 nothing says that two files of one second are the same.
  return etag !== '' && (ifRange === etag || ifRange === lastModified);
}
