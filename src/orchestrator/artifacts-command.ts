import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';
import { readArtifactsArguments } from './artifacts-arguments.ts';
import { ORCHESTRATOR_PREFIX } from './config.ts';
import { type ArtifactRemover, openArtifactRemover, type Removal } from './runners/artifact-remover.ts';
import type { ArtifactStoreAddress } from './runners/store-client.ts';
import { type Database, openDatabase } from './store/database.ts';
import { findReleasedArtifacts, forgetArtifacts, type ReleasedArtifact } from './store/released-artifacts.ts';

const UNDEFINED_TABLE = '42P01';
const HEADINGS = ['uri', 'bytes', 'released_at'];
const ARTIFACTS_AT_A_TIME = 200;
const REMOVALS_AT_A_TIME = 8;

export interface ArtifactsCommandParts {
  readonly databaseUrl: string;
  readonly objectStore: ArtifactStoreAddress;
  /** Gets each line of the answer. */
  readonly print: (line: string) => void;
}

/**
 * Runs what follows `artifacts` on the command line: shows or deletes the objects that no workflow refers to any more since
 * their own were deleted. Throws StartupError: exit code 64 for words that make no command, 69 without a database or a
 * store, 78 without the settings of one, 1 when something could not be deleted.
 */
export async function runArtifactsCommand(args: readonly string[], parts: ArtifactsCommandParts): Promise<void> {
  const { verb, ageMs, sure } = readArtifactsArguments(args);
  const { databaseUrl, objectStore, print } = parts;
  const database = await openDatabase(databaseUrl, () => {});
  try {
    if (verb === 'delete' && sure) await deleteReleased(database, ageMs, objectStore, print);
    else {
      print(HEADINGS.join('\t'));
      const { count, bytes } = await listReleased(database, ageMs, print);
      if (verb === 'delete') print(`would delete ${count} objects of ${bytes} bytes; say --yes to do it`);
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== UNDEFINED_TABLE) throw error;
    const message = 'the database has no list of artifacts; the orchestrator of this version makes it at its start';
    throw new StartupError(message, undefined, { cause: error });
  } finally {
    await database.close();
  }
}

async function listReleased(database: Database, ageMs: number, print: (line: string) => void) {
  let count = 0;
  let total = 0n;
  for await (const batch of readBatches(database, ageMs)) {
    for (const { uri, bytes, releasedUs } of batch) {
      print([uri, bytes, new Date(Number(releasedUs / 1000n)).toISOString()].join('\t'));
      count += 1;
      total += bytes;
    }
  }
  return { count, bytes: total };
}

async function deleteReleased(
  database: Database,
  ageMs: number,
  objectStore: ArtifactStoreAddress,
  print: (line: string) => void,
): Promise<void> {
  if (!objectStore.endpoint) {
    throw new StartupError(`${ORCHESTRATOR_PREFIX}R2_ENDPOINT is not set; it says where to delete from`, EX_CONFIG);
  }
  const remover = await openArtifactRemover(objectStore);
  const writtenBeforeMs = Date.now() - ageMs;
  const counts: Record<Removal | 'failed', number> = { removed: 0, missing: 0, fresh: 0, foreign: 0, failed: 0 };
  let bytes = 0n;
  try {
    for await (const batch of readBatches(database, ageMs)) {
      const gone: ReleasedArtifact[] = [];
      await removeAll(remover, batch, writtenBeforeMs, (artifact, removal, reason) => {
        counts[removal] += 1;
        if (removal === 'removed') bytes += artifact.bytes;
        if (removal === 'removed' || removal === 'missing') gone.push(artifact);
        if (removal === 'failed') print(`${artifact.uri} could not be deleted: ${reason}`);
      });
      await forgetArtifacts(database.pool, gone);
    }
  } finally {
    remover.close();
  }
  print(`deleted ${counts.removed} objects of ${bytes} bytes; ${counts.missing} were gone already`);
  if (counts.fresh > 0) print(`left ${counts.fresh} that were written again since: they are looked at next time`);
  if (counts.foreign > 0) print(`left ${counts.foreign} in other buckets than ${objectStore.bucket}`);
  if (counts.failed > 0) throw new StartupError(`${counts.failed} objects could not be deleted; they stay listed`, 1);
}

/** Several at a time; tells what became of each. */
async function removeAll(
  { removeArtifact }: ArtifactRemover,
  artifacts: readonly ReleasedArtifact[],
  writtenBeforeMs: number,
  tell: (artifact: ReleasedArtifact, removal: Removal | 'failed', reason?: string) => void,
): Promise<void> {
  const waiting = artifacts.values();
  const work = async () => {
    for (const artifact of waiting) {
      try {
        tell(artifact, await removeArtifact(artifact.uri, writtenBeforeMs));
      } catch (error) {
        tell(artifact, 'failed', (error as Error).message || (error as Error).name);
      }
    }
  };
  await Promise.all(Array.from({ length: REMOVALS_AT_A_TIME }, work));
}

async function* readBatches(database: Database, ageMs: number): AsyncGenerator<readonly ReleasedArtifact[]> {
  for (let after = ''; ; ) {
    const batch = await findReleasedArtifacts(database, ageMs, ARTIFACTS_AT_A_TIME, after);
    if (batch.length === 0) return;
    yield batch;
    after = batch.at(-1)!.uri;
  }
}
