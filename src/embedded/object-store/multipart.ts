import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { WriteDraft } from './drafts.ts';
import { type ObjectInfo, openObjectFile } from './object-file.ts';
import { S3Error } from './s3-error.ts';

/** What an upload was begun with. */
export interface UploadInfo {
  readonly bucket: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A part as the client names it at the end. */
export interface NamedPart {
  readonly partNumber: number;
  readonly etag: string;
}

export interface Uploads {
  /** Answers with the id of the upload. */
  begin(info: UploadInfo): Promise<string>;
  /** Throws NoSuchUpload when there is none with this id for this object. */
  find(uploadId: string, bucket: string, key: string): Promise<UploadInfo>;
  putPart(
    uploadId: string,
    partNumber: number,
    bytes: AsyncIterable<Uint8Array>,
    describe: () => ObjectInfo,
  ): Promise<ObjectInfo>;
  /** Checks the parts, and answers with their bytes in a row and the ETag of the whole. */
  join(uploadId: string, parts: readonly NamedPart[]): Promise<Joined>;
  remove(uploadId: string): Promise<void>;
}

export interface Joined {
  readonly bytes: AsyncIterable<Buffer>;
  readonly sizeBytes: number;
  readonly etag: string;
}

const MIN_PART_BYTES = 5 * 2 ** 20;
const FORGOTTEN_MS = 7 * 86_400_000;

/** Keeps unfinished uploads as `folder`/<id>/upload.json and /part-<number>; those that nobody ended in a week go. */
export async function openUploads(folder: string, writeDraft: WriteDraft): Promise<Uploads> {
  await mkdir(folder, { recursive: true });
  await removeForgotten(folder);

  function folderOf(uploadId: string): string {
    if (/^[0-9a-f-]{36}$/.test(uploadId)) return path.join(folder, uploadId);
    throw noSuchUpload();
  }

  const partFile = (uploadId: string, partNumber: number) => path.join(folderOf(uploadId), `part-${partNumber}`);

  async function openPart(uploadId: string, { partNumber, etag }: NamedPart) {
    const part = await openObjectFile(partFile(uploadId, partNumber));
    if (part?.info.etag === `"${etag.replaceAll('"', '')}"`) return part;
    await part?.close();
    throw new S3Error('InvalidPart', `Part ${partNumber} was not uploaded, or has another ETag.`);
  }

  async function* readParts(uploadId: string, parts: readonly NamedPart[]): AsyncGenerator<Buffer, void, undefined> {
    for (const named of parts) {
      const part = await openPart(uploadId, named);
      yield* part.read(0, part.info.sizeBytes - 1);
    }
  }

  return {
    async begin(info) {
      const uploadId = randomUUID();
      await mkdir(folderOf(uploadId));
      await writeFile(path.join(folderOf(uploadId), 'upload.json'), JSON.stringify(info));
      return uploadId;
    },
    async find(uploadId, bucket, key) {
      const file = path.join(folderOf(uploadId), 'upload.json');
      const info: UploadInfo = JSON.parse(await readFile(file, 'utf8').catch(refuseMissing));
      if (info.bucket === bucket && info.key === key) return info;
      throw noSuchUpload();
    },
    async putPart(uploadId, partNumber, bytes, describe) {
      return await writeDraft(bytes, describe, (draft) =>
        // An abort may have come in between.
        rename(draft, partFile(uploadId, partNumber)).catch(refuseMissing),
      );
    },
    async join(uploadId, parts) {
      if (parts.some(({ partNumber }, index) => partNumber <= (parts[index - 1]?.partNumber ?? 0))) {
        throw new S3Error('InvalidPartOrder', 'The list of parts was not in ascending order.');
      }
      const md5 = createHash('md5');
      let sizeBytes = 0;
      for (const [index, named] of parts.entries()) {
        const part = await openPart(uploadId, named);
        await part.close();
        if (part.info.sizeBytes < MIN_PART_BYTES && index < parts.length - 1) {
          throw new S3Error('EntityTooSmall', 'All parts but the last must have at least 5 MiB.');
        }
        md5.update(Buffer.from(part.info.etag.slice(1, -1), 'hex'));
        sizeBytes += part.info.sizeBytes;
      }
      return { bytes: readParts(uploadId, parts), sizeBytes, etag: `"${md5.digest('hex')}-${parts.length}"` };
    },
    async remove(uploadId) {
      await rm(folderOf(uploadId), { recursive: true, force: true });
    },
  };
}

async function removeForgotten(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const upload = path.join(folder, name);
    const { mtimeMs } = await stat(upload);
    if (Date.now() - mtimeMs > FORGOTTEN_MS) await rm(upload, { recursive: true, force: true });
  }
}

function refuseMissing(error: NodeJS.ErrnoException): never {
  throw error.code === 'ENOENT' ? noSuchUpload() : error;
}

function noSuchUpload(): S3Error {
  return new S3Error('NoSuchUpload', 'The specified upload does not exist. It may have been aborted or completed.');
}
