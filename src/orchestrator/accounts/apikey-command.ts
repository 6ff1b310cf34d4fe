import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import { openDatabase } from '../store/database.ts';
import { migrate } from '../store/migrations.ts';
import { type ApiKeyRow, createApiKey, listApiKeys, revokeApiKey } from './api-keys.ts';

const USAGE = 'usage: apikey create <principal> [limit] [window_s] | apikey list | apikey revoke <id>';
const DEFAULT_WINDOW_SECONDS = 3600n;
const UNDEFINED_TABLE = '42P01';
const PRINCIPAL = /^[\x21-\x7e]{1,200}$/;

export interface ApikeyCommandParts {
  readonly databaseUrl: string;
  /** Gets each line of the answer. */
  readonly print: (line: string) => void;
}

type Command =
  | { readonly verb: 'create'; readonly principal: string; readonly limit: bigint; readonly windowSeconds: bigint }
  | { readonly verb: 'list' }
  | { readonly verb: 'revoke'; readonly id: string };

/**
 * Runs what follows `apikey` on the command line. Throws StartupError: exit code 64 for words that make no command, 1 for
 * a key that does not exist, 69 without a database.
 */
export async function runApikeyCommand(
  args: readonly string[],
  { databaseUrl, print }: ApikeyCommandParts,
): Promise<void> {
  const command = readCommand(args);
  const database = await openDatabase(databaseUrl, () => {});
  try {
    if (command.verb === 'create') {
      // The first key may come before the first start; to look or to revoke must not change the schema.
      await migrate(database);
      print((await createApiKey(database.pool, command)).rawKey);
    } else if (command.verb === 'list') {
      print(['id', 'principal', 'limit', 'window_s', 'created', 'last_used', 'revoked'].join('\t'));
      for (const key of await listApiKeys(database.pool)) print(lineOf(key));
    } else if (await revokeApiKey(database.pool, command.id)) {
      print(`revoked ${command.id}`);
    } else {
      throw new StartupError(`there is no API key ${command.id}; apikey list shows them`, 1);
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== UNDEFINED_TABLE) throw error;
    throw new StartupError('the database has no API keys yet; apikey create makes the first', 1, { cause: error });
  } finally {
    await database.close();
  }
}

function readCommand([verb, ...rest]: readonly string[]): Command {
  if (verb === 'create' && rest.length >= 1 && rest.length <= 3) {
    const [principal, limit, windowSeconds] = rest;
    if (!PRINCIPAL.test(principal!)) {
      throw new StartupError('the principal must be 1 to 200 visible ASCII characters without spaces', EX_USAGE);
    }
    return {
      verb,
      principal: principal!,
      limit: limit === undefined ? 0n : readWhole('limit', limit, 0n),
      windowSeconds: windowSeconds === undefined ? DEFAULT_WINDOW_SECONDS : readWhole('window_s', windowSeconds, 1n),
    };
  }
  if (verb === 'list' && rest.length === 0) return { verb };
  if (verb === 'revoke' && rest.length === 1) return { verb, id: rest[0]! };
  throw new StartupError(USAGE, EX_USAGE);
}

function readWhole(name: string, text: string, least: bigint): bigint {
  const value = /^\d{1,9}$/.test(text) ? BigInt(text) : -1n;
  if (value >= least) return value;
  throw new StartupError(`${name} is "${text}", but must be a whole number from ${least} to 999999999`, EX_USAGE);
}

function lineOf({ id, principal, limit, windowSeconds, createdAt, lastUsedAt, revokedAt }: ApiKeyRow): string {
  const day = (time: Date | null) => time?.toISOString() ?? '-';
  return [id, principal, limit, windowSeconds, day(createdAt), day(lastUsedAt), day(revokedAt)].join('\t');
}
