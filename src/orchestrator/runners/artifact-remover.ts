import { DeleteObjectCommand, HeadBucketCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { StartupError } from '../../shared/startup-error.ts';
import { type ArtifactStoreAddress, createStoreClient } from './store-client.ts';

const REMOVE_TIMEOUT_MS = 30_000;

export type Removal =
  | 'removed'
  /** The store has no such object. */
  | 'missing'
  /** It was written after the given time: somebody may be about to refer to it. */
  | 'fresh'
  /** It is in another bucket than ours. */
  | 'foreign';

export interface ArtifactRemover {
  /** Removes an object unless it was written after `writtenBeforeMs` (milliseconds since 1970). Throws when the store fails. */
  readonly removeArtifact: (uri: string, writtenBeforeMs: number) => Promise<Removal>;
  readonly close: () => void;
}

/**
 * Removes objects from an S3-compatible store, each within 30 s, repetitions included. Throws StartupError when the store
 * has no such bucket for us: what is in it would seem to be missing.
 */
export async function openArtifactRemover(store: ArtifactStoreAddress): Promise<ArtifactRemover> {
  const client = createStoreClient(store);
  const within = () => ({ abortSignal: AbortSignal.timeout(REMOVE_TIMEOUT_MS) });
  const prefix = `r2://${store.bucket}/`;

  async function removeArtifact(uri: string, writtenBeforeMs: number): Promise<Removal> {
    if (!uri.startsWith(prefix)) return 'foreign';
    const target = { Bucket: store.bucket, Key: uri.slice(prefix.length) };
    const bound = within();
    try {
      const { LastModified: writtenAt } = await client.send(new HeadObjectCommand(target), bound);
      if (!writtenAt) throw new Error(`the object store does not say when ${uri} was written`);
      if (writtenAt.getTime() > writtenBeforeMs) return 'fresh';
      await client.send(new DeleteObjectCommand(target), bound);
      return 'removed';
    } catch (error) {
      if ((error as Error).name === 'NotFound') return 'missing';
      throw error;
    }
  }

  try {
    await client.send(new HeadBucketCommand({ Bucket: store.bucket }), within());
  } catch (error) {
    client.destroy();
    const { name, message } = error as Error;
    const reason = message && message !== 'UnknownError' ? message : name;
    throw new StartupError(`cannot use the bucket ${store.bucket} at ${store.endpoint}: ${reason}`, undefined, {
      cause: error,
    });
  }
  return { removeArtifact, close: () => client.destroy() };
}
