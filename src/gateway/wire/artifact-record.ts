import type { Workflow } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { contentDisposition } from './artifact-key.ts';
import type { ByteRange } from './ranges.ts';

/** What a workflow says of one of its files. */
export interface ArtifactRecord {
  readonly key: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Strong: the SHA-256 of the content, quoted. Empty when the orchestrator did not record one. */
  readonly etag: string;
}

/** The record of the output that is `key` in `bucket`; undefined when the workflow made no such file. */
export function findArtifact(workflow: Workflow, bucket: string, key: string): ArtifactRecord | undefined {
  const uri = `r2://${bucket}/${key}`;
  for (const { outputs } of workflow.stepStatuses) {
    const found = outputs.find((output) => output.uri === uri);
    if (!found) continue;
    const { contentType, sizeBytes, sha256 } = found;
    const etag = /^[0-9a-f]{64}$/.test(sha256) ? `"${sha256}"` : '';
    // Header values end up in the answer: what is no media type is a plain file.
    const safeType = /^[\w.+-]+\/[\w.+-]+(?: *; *[\w-]+=[\w.+-]+)*$/.test(contentType);
    return {
      key,
      contentType: safeType ? contentType : 'application/octet-stream',
      sizeBytes: Number(sizeBytes),
      etag,
    };
  }
  return undefined;
}

/** The headers of a file, or of a part of it (RFC 9110, RFC 6266, RFC 9530). A browser never runs what it downloads. */
export function artifactHeaders({ key, contentType, sizeBytes, etag }: ArtifactRecord, range: ByteRange | undefined) {
  const partBytes = range ? range.last - range.first + 1 : sizeBytes;
  return {
    'Content-Type': contentType,
    'Content-Length': String(partBytes),
    ...(range && { 'Content-Range': `bytes ${range.first}-${range.last}/${sizeBytes}` }),
    ...validators(etag),
    'Accept-Ranges': 'bytes',
    'Content-Disposition': contentDisposition(key),
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': 'sandbox',
  };
}

/** The headers that tell one version of a file from another; a 304 carries them alone. */
export function validators(etag: string): Record<string, string> {
  const caching = { 'Cache-Control': 'private, no-cache' };
  if (etag === '') return caching;
  const digest = Buffer.from(etag.slice(1, -1), 'hex').toString('base64');
  return { ...caching, ETag: etag, 'Repr-Digest': `sha-256=:${digest}:` };
}
