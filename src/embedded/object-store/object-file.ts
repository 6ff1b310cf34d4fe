import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { Checksums } from './checksums.ts';

/** All that is known of an object but its bytes. */
export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
  /** With its quotes. */
  readonly etag: string;
  readonly modifiedMs: number;
  /** Those of the upload that a download repeats, such as content-type and x-amz-meta-*. */
  readonly headers: Readonly<Record<string, string>>;
  readonly checksums: Checksums;
}

/*
 * A file holds the bytes, then the ObjectInfo as JSON, then the JSON's length and a mark. As one file it is replaced by one
 * rename: no crash can leave the bytes of one upload with the description of another, and who has it open keeps both.
 */
const MARK = Buffer.from('FFO1');
const TAIL_BYTES = 4 + MARK.length;
const USUAL_INFO_BYTES = 4096;

/** Writes `bytes`, then asks for their description, and has all of it on the disk when it resolves. */
export async function writeObjectFile(
  file: string,
  bytes: AsyncIterable<Uint8Array>,
  describe: () => ObjectInfo,
): Promise<ObjectInfo> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    const info = describe();
    const json = Buffer.from(JSON.stringify(info));
    const tail = Buffer.alloc(4);
    tail.writeUInt32BE(json.length);
    await handle.writeFile(Buffer.concat([json, tail, MARK]));
    await handle.sync();
    return info;
  } finally {
    await handle.close();
  }
}

export interface OpenObject {
  readonly info: ObjectInfo;
  /** The bytes from `start` to `end`, both included. It closes the file when it has been read, or destroyed. */
  read(start: number, end: number): Readable;
  /** Does nothing when it is closed already. */
  close(): Promise<void>;
}

/** Opens a file for reading; undefined when there is none. The caller reads it or closes it. */
export async function openObjectFile(file: string): Promise<OpenObject | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const info = await readInfo(handle);
    return {
      info,
      read: (start, end) => (end < start ? readNothing(handle) : handle.createReadStream({ start, end })),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw new Error(`${file} is damaged`, { cause: error });
  }
}

/** What createReadStream would be for no bytes, which it does not allow. */
function readNothing(handle: FileHandle): Readable {
  return new Readable({
    read() {
      this.push(null);
    },
    destroy(error, done) {
      handle.close().then(() => done(error), done);
    },
  });
}

async function readInfo(handle: FileHandle): Promise<ObjectInfo> {
  const { size } = await handle.stat();
  let end = await readEnd(handle, size, USUAL_INFO_BYTES);
  if (!end.subarray(-MARK.length).equals(MARK)) throw new Error('its mark is missing');
  const infoBytes = end.readUInt32BE(end.length - TAIL_BYTES);
  if (infoBytes + TAIL_BYTES > end.length) end = await readEnd(handle, size, infoBytes + TAIL_BYTES);
  const info: ObjectInfo = JSON.parse(
    end.toString('utf8', end.length - TAIL_BYTES - infoBytes, end.length - TAIL_BYTES),
  );
  if (info.sizeBytes + infoBytes + TAIL_BYTES !== size) throw new Error('its size is wrong');
  return info;
}

async function readEnd(handle: FileHandle, size: number, count: number): Promise<Buffer> {
  const length = Math.min(size, count);
  const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
  return buffer;
}
