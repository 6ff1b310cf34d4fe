import { readdirSync } from 'node:fs';
import path from 'node:path';
import { type Account, runAs } from '../../../src/embedded/postgres/account.ts';
import { findBinaries, prepareBinaries } from '../../../src/embedded/postgres/binaries.ts';
import { findDebianProgram } from '../debian.ts';

const DEBIAN_FOLDER = '/usr/lib/postgresql';

export interface PostgresPrograms {
  /** `debian`: of Debian's package; `embedded`: of the one that comes from npm. */
  readonly kind: 'debian' | 'embedded';
  readonly initdb: string;
  readonly postgres: string;
  /** Such as 15.18. */
  readonly version: string;
}

/**
 * The programs of Debian's package `postgresql`, which root installs where it can; else the embedded ones, of which a
 * copy goes to `folder` when `account` cannot use them where they are.
 */
export async function findPostgresPrograms(account: Account | undefined, folder: string): Promise<PostgresPrograms> {
  // The package's own programs lie outside of PATH; this one comes with them.
  if (!newestDebianFolder()) await findDebianProgram('pg_ctlcluster', 'postgresql');
  const debian = newestDebianFolder();
  const programs = debian
    ? { initdb: path.join(debian, 'initdb'), postgres: path.join(debian, 'postgres') }
    : await prepareBinaries({ nativeDir: findBinaries(), account, runDir: folder });
  const { stdout } = await runAs(account, '/', programs.postgres, ['--version']);
  const version = /\d+(?:\.\d+)*/.exec(stdout)?.[0];
  if (!version) throw new Error(`${programs.postgres} does not tell its version: ${stdout}`);
  const { initdb, postgres } = programs;
  return { kind: debian ? 'debian' : 'embedded', initdb, postgres, version };
}

function newestDebianFolder(): string | undefined {
  const majors = listFolder(DEBIAN_FOLDER).filter((name) => /^\d+$/.test(name));
  return majors
    .sort((one, other) => Number(other) - Number(one))
    .map((major) => path.join(DEBIAN_FOLDER, major, 'bin'))
    .find((bin) => ['initdb', 'postgres'].every((program) => listFolder(bin).includes(program)));
}

/** Empty when there is no such folder. */
function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
