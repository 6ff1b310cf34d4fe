import { createHash } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { ArtifactRecord } from './runner.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const SOCKET_IDLE_TIMEOUT_MS = 15_000;
const PUT_TIMEOUT_MS = 60_000;

export interface ArtifactStoreAddress {
  /** An http or https URL. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly pathStyle: boolean;
}

/** Stores one file and answers with its record. `extension` has no dot. Throws when the store did not take it. */
export type PutArtifact = (
  bytes: Uint8Array,
  contentType: string,
  extension: string,
  metrics: Readonly<Record<string, number>>,
  signal?: AbortSignal,
) => Promise<ArtifactRecord>;

export interface ArtifactWriter {
  readonly putArtifact: PutArtifact;
  readonly close: () => void;
}

/**
 * Writes artifacts to an S3-compatible store under `artifacts/<sha256>.<extension>`: a name that follows from the
 * content, so that writing the same file again changes nothing. A write takes at most 60 s, repetitions included.
 */
export function createArtifactWriter(store: ArtifactStoreAddress): ArtifactWriter {
  const client = new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
    forcePathStyle: store.pathStyle,
    // Stores other than Amazon's refuse or misread the checksum trailers that the client adds by default.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: SOCKET_IDLE_TIMEOUT_MS },
  });

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
    const abortSignal = signal ? AbortSignal.any([signal, timeout]) : timeout;
    try {
      await client.send(command, { abortSignal });
    } catch (error) {
      // The client wraps the reason in an error of its own.
      abortSignal.throwIfAborted();
      throw error;
    }
    return { uri: `r2://${store.bucket}/${key}`, contentType, sizeBytes: bytes.byteLength, sha256, metrics };
  };

  return { putArtifact, close: () => client.destroy() };
}
