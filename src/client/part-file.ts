import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, lstat, open, rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { StartupError } from '../shared/startup-error.ts';
import { EX_IOERR } from './exit-codes.ts';

export type PartFile = Awaited<ReturnType<typeof openPart>>;

/**
 * A file that is not whole yet, beside the one that it will be. What is in its place must be a regular file: a link would lead
 * out of the folder.
 */
export async function openPart(file: string) {
  const found = await lstat(file).catch(() => undefined);
  if (found && !found.isFile()) throw new StartupError(`${file} is in the way: it is not a regular file`, EX_IOERR);
  const flags = constants.O_WRONLY | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
  const handle: FileHandle = await open(file, flags, 0o666);
  let sizeBytes = (await handle.stat()).size;

  return {
    sizeBytes: () => sizeBytes,

    async append(bytes: Uint8Array): Promise<void> {
      for (let done = 0; done < bytes.length; ) {
        // At its place, so that two who make the same file at once do each other no harm.
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, sizeBytes);
        done += bytesWritten;
        sizeBytes += bytesWritten;
      }
    },

    async clear(): Promise<void> {
      if (sizeBytes > 0) await handle.truncate(0);
      sizeBytes = 0;
    },

    /** Leaves nothing behind when nothing has come. */
    async close(): Promise<void> {
      await handle.close();
      if (sizeBytes === 0) await rm(file, { force: true });
    },

    /** Gives the file its name, all at once, when it is on the disk. */
    async publish(name: string): Promise<void> {
      await handle.sync();
      await handle.close();
      await rename(file, name);
    },

    remove: () => rm(file, { force: true }),
  };
}

/** The SHA-256 of what is on the disk, in hexadecimal. */
export async function sha256Of(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash, { signal });
  return hash.digest('hex');
}

/** Whether there is such a regular file with this content. */
export async function isSameFile(file: string, sizeBytes: number, sha256: string, signal: AbortSignal) {
  const found = await lstat(file).catch(() => undefined);
  return found?.isFile() === true && found.size === sizeBytes && (await sha256Of(file, signal)) === sha256;
}
