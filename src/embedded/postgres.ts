import { existsSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../shared/log.ts';
import { StartupError } from '../shared/startup-error.ts';
import { choosePostgresAccount } from './postgres/account.ts';
import { findBinaries, prepareBinaries } from './postgres/binaries.ts';
import { prepareDataDirectory } from './postgres/data-directory.ts';
import { ensureDatabase, urlOf } from './postgres/database.ts';
import { createRunFolder } from './postgres/run-folder.ts';
import { type Server, startServer } from './postgres/server.ts';

export interface EmbeddedPostgres {
  /** A connection string for `pg`, over a Unix socket that only Postgres's account (and root) can open. */
  readonly url: string;
  /** Ends every session, writes everything down and stops the server. */
  close(): Promise<void>;
}

export interface PostgresOptions {
  /** Made when missing, and its parents. */
  readonly dataDir: string;
  readonly log: Log;
  /** `false` gives up what a crash of the machine would otherwise spare, for speed: only for tests. */
  readonly fsync?: boolean;
}

const DATABASE = 'foldforge';

/** How long children of a server that was killed may go on with what they are doing. */
const ORPHANS_MS = 10_000;

/**
 * Starts the Postgres that comes from npm on `dataDir`; it stops when this process ends, however it ends.
 * Throws StartupError when this machine, this account or this directory cannot have one.
 */
export async function startPostgres({ dataDir, log, fsync = true }: PostgresOptions): Promise<EmbeddedPostgres> {
  const deadline = Date.now() + ORPHANS_MS;
  for (;;) {
    try {
      return await start({ dataDir: settle(dataDir), log, fsync });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (/pre-existing shared memory block/.test(message) && Date.now() < deadline) await delay(200);
      else if (code === undefined) throw error;
      else throw new StartupError(`cannot run Postgres in ${dataDir}: ${message}`, undefined, { cause: error });
    }
  }
}

async function start({ dataDir, log, fsync }: Required<PostgresOptions>): Promise<EmbeddedPostgres> {
  const nativeDir = findBinaries();
  const account = choosePostgresAccount(dataDir);
  const runDir = await createRunFolder(account);
  const removeRunFolder = () => rmSync(runDir, { recursive: true, force: true });
  let server: Server | undefined;
  try {
    const binaries = await prepareBinaries({ nativeDir, account, runDir });
    await prepareDataDirectory({ dataDir, binaries, account, fsync });
    server = await startServer({ dataDir, runDir, binaries, account, fsync, log });
    await ensureDatabase({ server, runDir, dataDir, database: DATABASE });
  } catch (error) {
    await server?.close();
    removeRunFolder();
    throw error;
  }

  let isClosing = false;
  void server.ended.then((reason) => {
    if (!isClosing) log.error({ reason }, 'the embedded Postgres ended');
  });
  return {
    url: urlOf(runDir, DATABASE),
    async close() {
      isClosing = true;
      await server.close();
      removeRunFolder();
    },
  };
}

/** The one true path of `dataDir`, whose parents exist afterwards. */
function settle(dataDir: string): string {
  if (existsSync(dataDir)) return realpathSync(dataDir);
  const parent = path.dirname(path.resolve(dataDir));
  mkdirSync(parent, { recursive: true });
  return path.join(realpathSync(parent), path.basename(dataDir));
}
