import { randomUUID } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { type ObjectInfo, writeObjectFile } from './object-file.ts';

/** Writes an object file out of sight, then lets `place` rename it to where it belongs. Nothing stays when anything throws. */
export type WriteDraft = (
  bytes: AsyncIterable<Uint8Array>,
  describe: () => ObjectInfo,
  place: (draft: string, info: ObjectInfo) => Promise<void>,
) => Promise<ObjectInfo>;

/** Empties `folder`, which must be on the file system of the places, of what a crash left in it. */
export async function openDrafts(folder: string): Promise<WriteDraft> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return async (bytes, describe, place) => {
    const draft = path.join(folder, randomUUID());
    try {
      const info = await writeObjectFile(draft, bytes, describe);
      await place(draft, info);
      return info;
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  };
}

/** A new name is only on the disk when its folder is. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
