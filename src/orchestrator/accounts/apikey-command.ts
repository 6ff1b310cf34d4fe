import { StartupError } from '../../shared/startup-error.ts';
import { openDatabase } from '../store/database.ts';
import { hasSchema, migrate } from '../store/migrate.ts';
import { API_KEY_PREFIX, type ApiKeyRow, createApiKey, listApiKeys, revokeApiKey } from './api-keys.ts';
import { readApikeyArguments } from './apikey-arguments.ts';

const UNDEFINED_TABLE = '42P01';
const UNDEFINED_COLUMN = '42703';
const HEADINGS = [
  'id',
  'principal',
  'access',
  'limit',
  'window_s',
  'used',
  'created',
  'last_used',
  'expires',
  'revoked',
];

export interface ApikeyCommandParts {
  readonly databaseUrl: string;
  /** Gets each line of the answer. */
  readonly print: (line: string) => void;
}

/**
 * Runs what follows `apikey` on the command line. Throws StartupError: exit code 64 for words that make no command, 1 for
 * a key that does not exist, 69 without a database.
 */
export async function runApikeyCommand(
  args: readonly string[],
  { databaseUrl, print }: ApikeyCommandParts,
): Promise<void> {
  const command = readApikeyArguments(args, Date.now());
  const database = await openDatabase(databaseUrl, () => {});
  try {
    if (command.verb === 'create') {
      // The first key may come before the first start. Else the schema is left to the orchestrator: one that is running may
      // be older than this program.
      if (!(await hasSchema(database))) await migrate(database);
      print((await createApiKey(database.pool, command.key)).rawKey);
    } else if (command.verb === 'list') {
      const keys = await listApiKeys(database.pool);
      print(HEADINGS.join('\t'));
      for (const key of keys) print(lineOf(key));
    } else if (await revokeApiKey(database.pool, command.id)) {
      print(`revoked ${command.id}`);
    } else {
      // By mistake it may be the key itself.
      const name = command.id.startsWith(`${API_KEY_PREFIX}_`) ? 'of this id' : command.id;
      throw new StartupError(`there is no API key ${name}; apikey list shows them`, 1);
    }
  } catch (error) {
    throw withoutSchema(error) ?? error;
  } finally {
    await database.close();
  }
}

/** What to say of a database that this program has not yet brought up to date. */
function withoutSchema(error: unknown): StartupError | undefined {
  const { code } = error as { code?: unknown };
  if (code === UNDEFINED_TABLE) {
    return new StartupError('the database has no API keys yet; apikey create makes the first', 1, { cause: error });
  }
  if (code === UNDEFINED_COLUMN) {
    const message =
      'the database has an older schema; the orchestrator of this version brings it up to date at its start';
    return new StartupError(message, undefined, { cause: error });
  }
  return undefined;
}

function lineOf(key: ApiKeyRow): string {
  const { id, principal, readOnly, limit, windowSeconds, used, createdAt, lastUsedAt, expiresAt, revokedAt } = key;
  const access = readOnly ? 'read-only' : 'read-write';
  const times = [createdAt, lastUsedAt, expiresAt, revokedAt].map((time) => time?.toISOString() ?? '-');
  return [id, principal, access, limit, windowSeconds, used, ...times].join('\t');
}
