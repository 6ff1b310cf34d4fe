import { parseArgs } from 'node:util';
import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import type { NewApiKey } from './api-keys.ts';
import { readExpiry } from './expiry.ts';

const USAGE =
  'usage: apikey create <principal> [limit] [window_s] [--expires <when>] [--read-only] | apikey list | apikey revoke <id>';
const DEFAULT_WINDOW_SECONDS = 3600n;
const PRINCIPAL = /^[\x21-\x7e]{1,200}$/;

export type ApikeyArguments =
  | { readonly verb: 'create'; readonly key: NewApiKey }
  | { readonly verb: 'list' }
  | { readonly verb: 'revoke'; readonly id: string };

/** Reads what follows `apikey`. `nowMs` is in milliseconds since 1970. Throws StartupError, exit code 64. */
export function readApikeyArguments([verb, ...rest]: readonly string[], nowMs: number): ApikeyArguments {
  if (verb === 'create') return { verb, key: readKey(rest, nowMs) };
  if (verb === 'list' && rest.length === 0) return { verb };
  if (verb === 'revoke' && rest.length === 1) return { verb, id: rest[0]! };
  throw new StartupError(USAGE, EX_USAGE);
}

function readKey(args: readonly string[], nowMs: number): NewApiKey {
  const { values, positionals } = parse(args);
  const [principal, limit, windowSeconds, ...rest] = positionals;
  if (principal === undefined || rest.length > 0) throw new StartupError(USAGE, EX_USAGE);
  if (!PRINCIPAL.test(principal)) {
    throw new StartupError('the principal must be 1 to 200 visible ASCII characters without spaces', EX_USAGE);
  }
  return {
    principal,
    limit: limit === undefined ? 0n : readWhole('limit', limit, 0n),
    windowSeconds: windowSeconds === undefined ? DEFAULT_WINDOW_SECONDS : readWhole('window_s', windowSeconds, 1n),
    expiresAt: values.expires === undefined ? null : readExpiry(values.expires, nowMs),
    readOnly: values['read-only'] ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    const options = { expires: { type: 'string' }, 'read-only': { type: 'boolean' } } as const;
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // An option that nobody knows, or one without its value: the message says which.
    throw new StartupError(`${(error as Error).message}; ${USAGE}`, EX_USAGE, { cause: error });
  }
}

function readWhole(name: string, text: string, least: bigint): bigint {
  const value = /^\d{1,9}$/.test(text) ? BigInt(text) : -1n;
  if (value >= least) return value;
  throw new StartupError(`${name} is "${text}", but must be a whole number from ${least} to 999999999`, EX_USAGE);
}
