import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';

/** For so long what was made of an older state of the code is kept. */
const KEPT_MS = 3_600_000;

/**
 * Lets `make` fill a new folder, unless `folder` is there already, and answers whether it is there now. Several processes
 * may be here at once: the first one to end has made it for all. Nothing is made where nobody may write.
 */
export async function makeOnce(folder: string, make: (fresh: string) => Promise<void>): Promise<boolean> {
  if (existsSync(folder)) {
    keepLonger(folder);
    return true;
  }
  const fresh = makeFresh(folder);
  if (fresh === undefined) return false;
  try {
    await make(fresh);
    removeOld(path.dirname(folder));
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return true;
}

/** Undefined where node_modules belongs to somebody else, or cannot be written to. */
function makeFresh(folder: string): string | undefined {
  try {
    mkdirSync(path.dirname(folder), { recursive: true });
    return mkdtempSync(`${folder}.new-`);
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** What is in use is not old, whenever it was made. Only its owner can say so. */
function keepLonger(folder: string): void {
  try {
    utimesSync(folder, new Date(), new Date());
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Also what processes have left that were killed half-way. */
function removeOld(room: string): void {
  for (const name of readdirSync(room)) {
    const folder = path.join(room, name);
    const madeMs = statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
    if (madeMs !== undefined && Date.now() - madeMs > KEPT_MS) rmSync(folder, { recursive: true, force: true });
  }
}
