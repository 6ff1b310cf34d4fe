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
  const blob = new Blob(await readPieces(response, onProgress), { type: artifact.content_type });
  if (blob.size !== artifact.size_bytes) {
    throw new Error(`The file has ${blob.size} bytes, but ${artifact.size_bytes} were recorded. Try again.`);
  }
  if (artifact.sha256 === '') return { blob, unchecked: 'no checksum was recorded' };
  if (!subtle) return { blob, unchecked: 'browsers check files on https pages only' };
  const digest = toHex(await subtle.digest('SHA-256', await blob.arrayBuffer()));
  if (digest !== artifact.sha256.toLowerCase()) {
    const [was, is] = [artifact.sha256, digest].map((hex) => `${hex.slice(0, 12)}…`);
    throw new Error(`The file is damaged: its SHA-256 is ${is}, but ${was} was recorded. Try again.`);
  }
  return { blob, unchecked: undefined };
}

async function readPieces(
  response: Response,
  onProgress: DownloadOptions['onProgress'],
): Promise<Uint8Array<ArrayBuffer>[]> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read().catch(toBrokenDownload)) ?? { done: true };
    if (done) return pieces;
    pieces.push(value as Uint8Array<ArrayBuffer>);
    bytes += value.byteLength;
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
