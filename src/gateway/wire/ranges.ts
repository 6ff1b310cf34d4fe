/** Bytes first..last, both included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * One byte range of a file (RFC 9110, section 14.1.2). Undefined: no Range, or one that is to be ignored (another
 * unit, several ranges, malformed). `unsatisfiable`: nothing of it lies in the file.
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { first: sizeBytes - length, last: sizeBytes - 1 };
  }
  const first = Number(match[1]);
  const end = match[2] === '' ? Number.POSITIVE_INFINITY : Number(match[2]);
  if (end < first) return undefined;
  return first >= sizeBytes ? 'unsatisfiable' : { first, last: Math.min(end, sizeBytes - 1) };
}
