import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { createKeyedLock } from '../../shared/keyed-lock.ts';
import { syncFolder, type WriteDraft } from './drafts.ts';
import { type ObjectInfo, type OpenObject, openObjectFile } from './object-file.ts';
import { S3Error } from './s3-error.ts';

/** Forbids, by throwing, to change what is there now, if anything. */
export type Guard = (found: ObjectInfo | undefined) => void;

export interface BucketFiles {
  /** Answers whether it is new. */
  createBucket(bucket: string): Promise<boolean>;
  /** Throws NoSuchBucket. */
  requireBucket(bucket: string): Promise<void>;
  listBuckets(): Promise<string[]>;
  /** Stores all of `bytes` under the key of their description, or nothing when anything throws. */
  put(bucket: string, bytes: AsyncIterable<Uint8Array>, describe: () => ObjectInfo, guard: Guard): Promise<ObjectInfo>;
  /** Throws NoSuchBucket or NoSuchKey. The caller reads or closes what it gets. */
  open(bucket: string, key: string): Promise<OpenObject>;
  /** A key that does not exist is as good as removed. */
  remove(bucket: string, key: string, guard: Guard): Promise<void>;
  /** In no order. */
  list(bucket: string, prefix: string): Promise<ObjectInfo[]>;
}

/** How many files one listing has open at a time. */
const LIST_WIDTH = 16;

/**
 * Keeps objects as `folder`/<bucket>/<SHA-256 of the key>, so that no key can be too long, leave its folder, or meet another
 * on a file system that does not tell cases apart. Its functions throw S3Error.
 */
export async function openBucketFiles(folder: string, writeDraft: WriteDraft): Promise<BucketFiles> {
  await mkdir(folder, { recursive: true });
  const lock = createKeyedLock();

  function folderOf(bucket: string): string {
    if (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) return path.join(folder, bucket);
    throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.');
  }

  function fileOf(bucket: string, key: string): string {
    return path.join(folderOf(bucket), createHash('sha256').update(key).digest('hex'));
  }

  async function requireBucket(bucket: string): Promise<void> {
    const found = await stat(folderOf(bucket)).catch(() => undefined);
    if (!found) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist.');
  }

  /** Between the guard's look and the change nobody else changes the object. */
  async function change(bucket: string, key: string, guard: Guard, work: (file: string) => Promise<void>) {
    const file = fileOf(bucket, key);
    await lock(file, async () => {
      guard(await readInfo(file));
      await work(file);
    });
  }

  return {
    requireBucket,
    async createBucket(bucket) {
      const made = await mkdir(folderOf(bucket), { recursive: true });
      await syncFolder(folder);
      return made !== undefined;
    },
    async listBuckets() {
      const entries = await readdir(folder, { withFileTypes: true });
      return entries.flatMap((entry) => (entry.isDirectory() ? entry.name : [])).sort();
    },
    async put(bucket, bytes, describe, guard) {
      await requireBucket(bucket);
      return await writeDraft(bytes, describe, (draft, { key }) =>
        change(bucket, key, guard, async (file) => {
          await rename(draft, file);
          await syncFolder(folderOf(bucket));
        }),
      );
    },
    async open(bucket, key) {
      const found = await openObjectFile(fileOf(bucket, key));
      if (found) return found;
      await requireBucket(bucket);
      throw new S3Error('NoSuchKey', 'The specified key does not exist.');
    },
    async remove(bucket, key, guard) {
      await requireBucket(bucket);
      await change(bucket, key, guard, (file) => rm(file, { force: true }));
    },
    async list(bucket, prefix) {
      await requireBucket(bucket);
      const names = (await readdir(folderOf(bucket))).filter((name) => /^[0-9a-f]{64}$/.test(name));
      const found: ObjectInfo[] = [];
      const readSome = async () => {
        for (let name = names.pop(); name !== undefined; name = names.pop()) {
          const info = await readInfo(path.join(folderOf(bucket), name));
          if (info?.key.startsWith(prefix)) found.push(info);
        }
      };
      await Promise.all(Array.from({ length: LIST_WIDTH }, readSome));
      return found;
    },
  };
}

async function readInfo(file: string): Promise<ObjectInfo | undefined> {
  const object = await openObjectFile(file);
  await object?.close();
  return object?.info;
}
