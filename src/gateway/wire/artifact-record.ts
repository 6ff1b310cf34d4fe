import type { Workflow } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { contentDisposition } from './artifact-key.ts';
import { type ByteRange, bytesOf, rangeText } from './ranges.ts';
import { milliseconds } from './scalars.ts';

/** What a workflow says of one of its files. */
export interface ArtifactRecord {
  readonly key: string;
  readonly contentType: string;
  readonly sizeBytes: bigint;
  /** Strong: the SHA-256 of the content, quoted. Empty when the orchestrator did not record one. */
  readonly etag: string;
  /** When the step that made it had finished, as an IMF-fixdate (RFC 9110, section 5.6.7); empty when that is unknown. */
  readonly lastModified: string;
}

/** The record of the output that is `key` in `bucket`; undefined when the workflow made no such file. */
export function findArtifact(workflow: Workflow, bucket: string, key: string): ArtifactRecord | undefined {
  const uri = `r2://${bucket}/${key}`;
  for (const { outputs, finishedAt } of workflow.stepStatuses) {
    const found = outputs.find((output) => output.uri === uri);
    if (!found) continue;
    const { contentType, sizeBytes, sha256 } = found;
    const etag = /^[0-9a-f]{64}$/.test(sha256) ? `"${sha256}"` : '';
    // Header values end up in the answer: what is no media type is a plain file.
    const safeType = /^[\w.+-]+\/[\w.+-]+(?: *; *[\w-]+=[\w.+-]+)*$/.test(contentType);
    return {
      key,
      contentType: safeType ? contentType : 'application/octet-stream',
      sizeBytes,
      etag,
      lastModified: httpDate(milliseconds(finishedAt)),
    };
  }
  return undefined;
}

/** The headers of a file, or of a part of it (RFC 9110, RFC 6266, RFC 9530). A browser never runs what it downloads. */
export function artifactHeaders(record: ArtifactRecord, range: ByteRange | undefined): Record<string, string> {
  const { key, contentType, sizeBytes } = record;
  return {
    'Content-Type': contentType,
    'Content-Length': String(bytesOf(range, sizeBytes)),
    ...(range && { 'Content-Range': `bytes ${rangeText(range)}/${sizeBytes}` }),
    ...validators(record),
    'Accept-Ranges': 'bytes',
    'Content-Disposition': contentDisposition(key),
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': 'sandbox',
  };
}

/**
 * What tells one version of a file from another, and how long a client may keep it; a 304 carries this alone. What a SHA-256
 * was recorded of never changes, so it is good for some minutes without a question, and then for a 304; but only for
 * the caller who got it.
 */
export function validators({ etag, lastModified }: Pick<ArtifactRecord, 'etag' | 'lastModified'>) {
  const headers: Record<string, string> = {
    'Cache-Control': etag === '' ? 'private, no-cache' : 'private, max-age=300, immutable',
    Vary: 'Authorization, Origin',
  };
  if (lastModified !== '') headers['Last-Modified'] = lastModified;
  if (etag === '') return headers;
  headers.ETag = etag;
  headers['Repr-Digest'] = `sha-256=:${Buffer.from(etag.slice(1, -1), 'hex').toString('base64')}:`;
  return headers;
}

// The years that an HTTP date can write.
function httpDate(ms: number | undefined): string {
  return ms === undefined || ms < 0 || ms > 253_402_300_799_999 ? '' : new Date(ms).toUTCString();
}
