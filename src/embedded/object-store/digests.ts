import { createHash } from 'node:crypto';
import { CHECKSUM_ALGORITHMS, type Checksums, createChecksum } from './checksums.ts';
import type { ReadHeader } from './http.ts';
import { S3Error } from './s3-error.ts';

/** What is known of a body that came whole. */
export interface Verified {
  readonly sizeBytes: number;
  readonly md5: Buffer;
  /** Those that the client sent, and only those. */
  readonly checksums: Checksums;
}

export interface Digests {
  update(piece: Buffer): void;
  /** Compares all that was stated, in headers or trailers, with the bytes. Throws S3Error. */
  verify(stated: ReadHeader): Verified;
}

/** As much as S3 takes in one request. */
const MAX_BYTES = 5 * 2 ** 30;

/** Counts and digests a body, with no more algorithms than its headers ask for. Throws S3Error. */
export function createDigests(header: ReadHeader, payload: string): Digests {
  const announced = readAnnounced(header);
  const checksums = CHECKSUM_ALGORITHMS.map((name) => ({ name, field: `x-amz-checksum-${name}` }))
    .filter(({ field }) => header(field) !== undefined || announced.includes(field))
    .map(({ name, field }) => ({ name, field, sum: createChecksum(name) }));
  const unknown = announced.find((field) => !checksums.some((checksum) => checksum.field === field));
  if (unknown !== undefined) throw new S3Error('NotImplemented', `The trailer ${unknown} is not supported.`);
  const md5 = createHash('md5');
  const sha256 = /^[0-9a-f]{64}$/.test(payload) ? createHash('sha256') : undefined;
  let sizeBytes = 0;

  return {
    update(piece) {
      sizeBytes += piece.length;
      if (sizeBytes > MAX_BYTES) throw new S3Error('EntityTooLarge', 'More than 5 GiB need a multipart upload.');
      md5.update(piece);
      sha256?.update(piece);
      for (const { sum } of checksums) sum.update(piece);
    },
    verify(stated) {
      if (sha256 && sha256.digest('hex') !== payload) {
        throw new S3Error('XAmzContentSHA256Mismatch', 'x-amz-content-sha256 does not match the body.');
      }
      if (Number(stated('x-amz-decoded-content-length') ?? sizeBytes) !== sizeBytes) {
        throw new S3Error('IncompleteBody', 'The body does not have x-amz-decoded-content-length bytes.');
      }
      const md5Digest = md5.digest();
      requireEqual('Content-MD5', stated('content-md5') ?? md5Digest.toString('base64'), md5Digest);
      const found = checksums.map(({ name, field, sum }) => {
        const value = stated(field);
        if (value === undefined) throw new S3Error('MalformedTrailerError', `The trailer ${field} did not come.`);
        requireEqual(field, value, sum.digest());
        return [name, value];
      });
      return { sizeBytes, md5: md5Digest, checksums: Object.fromEntries(found) };
    },
  };
}

function readAnnounced(header: ReadHeader): string[] {
  const names = header('x-amz-trailer')?.toLowerCase().split(',') ?? [];
  return names.map((name) => name.trim()).filter((name) => name !== '');
}

function requireEqual(field: string, stated: string, digest: Buffer): void {
  if (stated === digest.toString('base64')) return;
  const isDigest = Buffer.from(stated, 'base64').length === digest.length;
  throw new S3Error(
    isDigest ? 'BadDigest' : 'InvalidDigest',
    `The ${field} you specified did not match what we received.`,
  );
}
