import type { Api } from '../api.ts';
import type { ArtifactFile } from './artifact-files.ts';

export interface Download {
  readonly blob: Blob;
  /** Why the bytes could not be checked; undefined: their SHA-256 is the recorded one. */
  readonly unchecked: string | undefined;
}

interface Digester {
  readonly digest: (algorithm: 'SHA-256', bytes: ArrayBuffer) => Promise<ArrayBuffer>;
}

interface DownloadOptions {
  readonly signal?: AbortSignal;
  /** Bytes so far. */
  readonly onProgress?: (bytes: number) => void;
  /** Null: there is none, as on a page that came over plain http from another machine. */
  readonly subtle?: Digester | null;
}

/** Browsers digest only what fits into one piece of memory. */
const MOST_CHECKED_BYTES = 1_000_000_000;
/** A browser keeps the bytes of a Blob outside of the page's memory, and on its disk where they are many. */
const BLOB_BYTES = 16_000_000;

/**
 * Reads a whole artifact and checks it against what the workflow says of it. Throws an ApiFault when the gateway refuses,
 * and an Error with a sentence for people when the file is not the one that was recorded.
 */
export async function downloadArtifact(
  api: Pick<Api, 'openArtifact'>,
  workflowId: string,
  { artifact, key }: Pick<ArtifactFile, 'artifact' | 'key'>,
  { signal, onProgress, subtle = globalThis.crypto.subtle ?? null }: DownloadOptions = {},
): Promise<Download> {
  const response = await api.openArtifact(workflowId, key, { signal });
  const blob = new Blob(await readBlobs(response, onProgress), { type: artifact.content_type });
  if (blob.size !== artifact.size_bytes) {
    throw new Error(`The file has ${blob.size} bytes, but ${artifact.size_bytes} were recorded. Try again.`);
  }
  if (artifact.sha256 === '') return { blob, unchecked: 'no checksum was recorded' };
  if (!subtle) return { blob, unchecked: 'browsers check files on https pages only' };
  if (blob.size > MOST_CHECKED_BYTES) return { blob, unchecked: 'browsers check no files as large as this' };
  const digest = toHex(await subtle.digest('SHA-256', await blob.arrayBuffer()));
  if (digest !== artifact.sha256.toLowerCase()) {
    const [was, is] = [artifact.sha256, digest].map((hex) => `${hex.slice(0, 12)}…`);
    throw new Error(`The file is damaged: its SHA-256 is ${is}, but ${was} was recorded. Try again.`);
  }
  return { blob, unchecked: undefined };
}

async function readBlobs(response: Response, onProgress: DownloadOptions['onProgress']): Promise<Blob[]> {
  const blobs: Blob[] = [];
  let pieces: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  let packedBytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read().catch(toBrokenDownload)) ?? { done: true };
    if (done) return [...blobs, new Blob(pieces)];
    pieces.push(value as Uint8Array<ArrayBuffer>);
    bytes += value.byteLength;
    if (bytes - packedBytes >= BLOB_BYTES) {
      blobs.push(new Blob(pieces));
      pieces = [];
      packedBytes = bytes;
    }
    onProgress?.(bytes);
  }
}

function toBrokenDownload(error: unknown): never {
  if (error instanceof Error && error.name === 'AbortError') throw error;
  throw new Error('The connection was lost in the middle of the file. Try again.', { cause: error });
}

function toHex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
