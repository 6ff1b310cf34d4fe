import { StartupError } from '../shared/startup-error.ts';
import { ApiError, ConnectionError } from './api-error.ts';
import { readChunks } from './body.ts';
import { type Caller, delayAfter, isTrouble } from './call.ts';
import type { Artifact } from './contract.ts';
import { EX_DATAERR } from './exit-codes.ts';
import { isSameFile, openPart, type PartFile, sha256Of } from './part-file.ts';

/** `present`: it was there already. `resumed`: what an earlier run had left was used. */
export type Downloaded = 'downloaded' | 'resumed' | 'present';

interface Download {
  readonly path: string;
  readonly artifact: Artifact;
  readonly file: string;
}

/**
 * Leaves an artifact in `file`, whole and with the recorded SHA-256, or leaves that name as it was and throws. What has come
 * stays in a `.part` file of this content, with which the next run goes on (Range and If-Range, RFC 9110, sections 13.1.5
 * and 14.2). The parent folder has to exist.
 */
export async function downloadTo(caller: Caller, { path, artifact, file }: Download): Promise<Downloaded> {
  const { sha256, size_bytes: sizeBytes } = artifact;
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    throw new StartupError(`${artifact.uri} has no recorded SHA-256, so what comes could not be checked`, EX_DATAERR);
  }
  if (await isSameFile(file, sizeBytes, sha256, caller.signal)) return 'present';
  const partName = `${file}.${sha256.slice(0, 12)}.part`;
  const part = await openPart(partName);
  try {
    const isResumed = part.sizeBytes() > 0 && part.sizeBytes() <= sizeBytes;
    await fill(caller, part, path, artifact);
    let found = await sha256Of(partName, caller.signal);
    if (found !== sha256 && isResumed) {
      // What was there before may have been at fault.
      await part.clear();
      await fill(caller, part, path, artifact);
      found = await sha256Of(partName, caller.signal);
    }
    if (found !== sha256) {
      await part.remove();
      throw new StartupError(`what came for ${file} has the SHA-256 ${found}, not ${sha256}`, EX_DATAERR);
    }
    await part.publish(file);
    return isResumed ? 'resumed' : 'downloaded';
  } catch (error) {
    // Another run has made the same file meanwhile, out of the same part.
    const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isGone && (await isSameFile(file, sizeBytes, sha256, caller.signal))) return 'present';
    throw error;
  } finally {
    await part.close();
  }
}

/** Brings a part up to the recorded size, over as many connections as it takes. */
async function fill(caller: Caller, part: PartFile, path: string, { sha256, size_bytes }: Artifact): Promise<void> {
  const { clock, signal, timeoutMs, onTrouble } = caller;
  if (part.sizeBytes() > size_bytes) await part.clear();
  let heardAt = clock.now();
  for (let failures = 0; part.sizeBytes() < size_bytes || size_bytes === 0; ) {
    const before = part.sizeBytes();
    try {
      const response = await open(caller, path, before, sha256);
      if (response.status !== 206) await part.clear();
      else if (!startsAt(response, before)) throw new StartupError(`${path} came with another range`, EX_DATAERR);
      for await (const chunk of readChunks(response, signal)) {
        await part.append(chunk);
        heardAt = clock.now();
        if (part.sizeBytes() > size_bytes) throw tooLong(path, size_bytes);
      }
      if (part.sizeBytes() < size_bytes) throw new ConnectionError('the file broke off');
      return;
    } catch (error) {
      if (!isTrouble(error)) throw error;
      if (error instanceof ApiError && error.status === 416) await part.clear();
      else if (!error.isPassing) throw error;
      failures = part.sizeBytes() > before ? 0 : failures + 1;
      const delayMs = delayAfter(error, failures);
      if (clock.now() + delayMs - heardAt > timeoutMs) throw error;
      onTrouble(error, delayMs);
      await clock.sleep(delayMs, signal);
    }
  }
}

/** The rest of a file. It is only a rest if the server still has the same one: the ETag is its SHA-256. */
async function open(caller: Caller, path: string, offset: number, sha256: string): Promise<Response> {
  // A proxy that compresses would count other bytes.
  const headers: Record<string, string> = { 'Accept-Encoding': 'identity' };
  if (offset > 0) Object.assign(headers, { Range: `bytes=${offset}-`, 'If-Range': `"${sha256}"` });
  const response = await caller.attempt({ path, headers }, async (opened) => opened);
  if (response.status !== 302) return response;
  // The object store itself has the bytes; the signed link is its whole credential.
  await response.body?.cancel();
  return caller.attempt({ path: response.headers.get('location') ?? '' }, async (opened) => opened);
}

function startsAt(response: Response, offset: number): boolean {
  return response.headers.get('content-range')?.startsWith(`bytes ${offset}-`) === true;
}

function tooLong(path: string, sizeBytes: number): StartupError {
  return new StartupError(`${path} is longer than the recorded ${sizeBytes} bytes`, EX_DATAERR);
}
