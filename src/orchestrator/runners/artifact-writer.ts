import { createHash } from 'node:crypto';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { ArtifactRecord } from './runner.ts';
import { type ArtifactStoreAddress, createStoreClient } from './store-client.ts';

const PUT_TIMEOUT_MS = 60_000;

/** Stores one file and answers with its record. `extension` has no dot. Throws when the store did not take it. */
export type PutArtifact = (
  bytes: Uint8Array,
  contentType: string,
  extension: string,
  metrics: Readonly<Record<string, number>>,
  signal?: AbortSignal,
) => Promise<ArtifactRecord>;

/** Told of each write that nobody has cancelled. */
export type OnWritten = (outcome: 'ok' | 'failed', sizeBytes: number, seconds: number) => void;

export interface ArtifactWriter {
  readonly putArtifact: PutArtifact;
  readonly close: () => void;
}

/**
 * Writes artifacts to an S3-compatible store under `artifacts/<sha256>.<extension>`: a name that follows from the
 * content, so that writing the same file again changes nothing. A write takes at most 60 s, repetitions included.
 */
export function createArtifactWriter(store: ArtifactStoreAddress, onWritten?: OnWritten): ArtifactWriter {
  const client = createStoreClient(store);

  const putArtifact: PutArtifact = async (bytes, contentType, extension, metrics, signal) => {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const key = `artifacts/${sha256}.${extension}`;
    const command = new PutObjectCommand({
      Bucket: store.bucket,
      Key: key,
      Body: bytes,
      ContentType: contentType,
      ContentLength: bytes.byteLength,
    });
    const timeout = AbortSignal.timeout(PUT_TIMEOUT_MS);
    const startedMs = performance.now();
    const tell = (outcome: 'ok' | 'failed') =>
      onWritten?.(outcome, bytes.byteLength, (performance.now() - startedMs) / 1000);
    const abortSignal = signal ? AbortSignal.any([signal, timeout]) : timeout;
    try {
      await client.send(command, { abortSignal });
      tell('ok');
    } catch (error) {
      if (!signal?.aborted) tell('failed');
      // The client wraps the reason in an error of its own.
      abortSignal.throwIfAborted();
      throw error;
    }
    return { uri: `r2://${store.bucket}/${key}`, contentType, sizeBytes: bytes.byteLength, sha256, metrics };
  };

  return { putArtifact, close: () => client.destroy() };
}
