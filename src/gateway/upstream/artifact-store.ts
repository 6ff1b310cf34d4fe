import type { IncomingMessage } from 'node:http';
import type { S3Client } from '@aws-sdk/client-s3';
import { GatewayError } from '../errors.ts';
import type { ByteRange } from '../wire/ranges.ts';

export interface ArtifactStoreSettings {
  /** Empty: no store. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly connectTimeoutMs: number;
  /** Bound of the time until the first byte of an answer. */
  readonly answerTimeoutMs: number;
}

export interface ArtifactStore {
  readonly bucket: string;
  /** Throws NOT_CONFIGURED when there is no store. */
  readonly requireConfigured: () => void;
  /**
   * Opens an object, or a part of it, as a stream of exactly `sizeBytes` bytes. Aborting `signal` closes the
   * connection. Throws NOT_CONFIGURED, STORE_ERROR, or DEADLINE_EXCEEDED.
   */
  readonly open: (object: {
    readonly key: string;
    readonly range: ByteRange | undefined;
    readonly sizeBytes: number;
    readonly signal: AbortSignal;
  }) => Promise<IncomingMessage>;
  readonly close: () => void;
}

/** The one bucket of the settings, over S3. The SDK is loaded only when there is a store. */
export async function createArtifactStore(settings: ArtifactStoreSettings): Promise<ArtifactStore> {
  const { bucket } = settings;
  if (settings.endpoint === '') {
    const requireConfigured = () => {
      throw new GatewayError('NOT_CONFIGURED', 'R2_ENDPOINT is not set');
    };
    return { bucket, requireConfigured, open: async () => requireConfigured(), close: () => undefined };
  }
  const { GetObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const client: S3Client = new S3Client({
    endpoint: settings.endpoint,
    region: settings.region,
    credentials: { accessKeyId: settings.accessKeyId, secretAccessKey: settings.secretAccessKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // The silence in the middle of a file is watched by who passes it on: a client may be the one that is slow.
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs,
      requestTimeout: settings.answerTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: 0,
    },
    maxAttempts: 2,
  });

  return {
    bucket,
    requireConfigured: () => undefined,
    async open({ key, range, sizeBytes, signal }) {
      const part = range && { Range: `bytes=${range.first}-${range.last}` };
      try {
        const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...part }), {
          abortSignal: signal,
        });
        const body = object.Body as unknown as IncomingMessage;
        if (object.ContentLength !== sizeBytes) {
          body.destroy();
          throw new Error(`the object has ${object.ContentLength} bytes where its record says ${sizeBytes}`);
        }
        return body;
      } catch (error) {
        throw fromStore(error, signal);
      }
    },
    close: () => client.destroy(),
  };
}

/** A failed call to the store. Its own words (bucket names, keys) are for the log. */
function fromStore(thrown: unknown, signal: AbortSignal): GatewayError {
  const { name, message } = thrown as Error;
  const cause = { cause: thrown };
  if (signal.aborted) return new GatewayError('CLIENT_CLOSED_REQUEST', 'the client went away', cause);
  if (name === 'TimeoutError') return new GatewayError('DEADLINE_EXCEEDED', `the object store: ${message}`, cause);
  return new GatewayError('STORE_ERROR', `the object store: ${name}: ${message}`, cause);
}
