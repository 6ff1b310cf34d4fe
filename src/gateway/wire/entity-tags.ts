/** Whether If-None-Match names `etag`: the weak comparison of RFC 9110, section 8.8.3.2. `*` matches everything, even without one. */
export function matchesEntityTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag && etag !== '');
}
