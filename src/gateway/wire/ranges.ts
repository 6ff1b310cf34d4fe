/** Bytes first..last, both included. Sizes are bigint because a file may have more bytes than a number can count. */
export interface ByteRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** How many bytes a part of a file has, or the whole of it. */
export function bytesOf(range: ByteRange | undefined, sizeBytes: bigint): bigint {
  return range ? range.last - range.first + 1n : sizeBytes;
}

/** As the Range and Content-Range headers write it, without the unit. */
export function rangeText({ first, last }: ByteRange): string {
  return `${first}-${last}`;
}

/**
 * One byte range of a file (RFC 9110, section 14.1.2). Undefined: no Range, or one that is to be ignored (another
 * unit, several ranges, malformed). `unsatisfiable`: nothing of it lies in the file.
 */
export function parseRange(header: string | undefined, sizeBytes: bigint): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const whole = sizeBytes - 1n;
  if (match[1] === '') {
    const suffix = BigInt(match[2]!);
    if (suffix === 0n || sizeBytes === 0n) return 'unsatisfiable';
    return { first: suffix < sizeBytes ? sizeBytes - suffix : 0n, last: whole };
  }
  const first = BigInt(match[1]!);
  const last = match[2] === '' ? whole : BigInt(match[2]!);
  if (match[2] !== '' && last < first) return undefined;
  return first >= sizeBytes ? 'unsatisfiable' : { first, last: last < whole ? last : whole };
}
