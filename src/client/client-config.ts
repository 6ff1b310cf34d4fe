import { readFileSync } from 'node:fs';
import { EX_CONFIG, EX_USAGE, StartupError } from '../shared/startup-error.ts';

export interface ClientConfig {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token: string;
}

const DEFAULT_URL = 'http://127.0.0.1:8080';

/**
 * Where the API is, and the key to it. A key is never an argument, because those stand in `ps` and in the shell's history. Throws
 * a StartupError that says what is missing or wrong, never the key.
 */
export function readClientConfig(
  environment: Readonly<Record<string, string | undefined>>,
  urlArgument: string | undefined,
): ClientConfig {
  const url =
    urlArgument === undefined
      ? readUrl('FOLDFORGE_URL', environment.FOLDFORGE_URL || DEFAULT_URL, EX_CONFIG)
      : readUrl('--url', urlArgument, EX_USAGE);
  return { url, token: readToken(environment) };
}

function readUrl(name: string, text: string, exitCode: number): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
  // What is wrong may be a password in it.
  if (!isPlain)
    throw new StartupError(`${name} must be an http:// or https:// URL without user, query or fragment`, exitCode);
  return url.href.replace(/\/+$/, '');
}

function readToken({
  FOLDFORGE_API_KEY: key,
  FOLDFORGE_API_KEY_FILE: file,
}: Record<string, string | undefined>): string {
  if (key && file) throw new StartupError('FOLDFORGE_API_KEY and FOLDFORGE_API_KEY_FILE are both set', EX_CONFIG);
  if (!key && !file) {
    const message = 'set FOLDFORGE_API_KEY, or FOLDFORGE_API_KEY_FILE to a file with the key; npm start prints a token';
    throw new StartupError(message, EX_CONFIG);
  }
  const token = (key || readKeyFile(file!)).trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  const name = key ? 'FOLDFORGE_API_KEY' : 'The file of FOLDFORGE_API_KEY_FILE';
  throw new StartupError(`${name} must have one key of visible ASCII characters`, EX_CONFIG);
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartupError(`FOLDFORGE_API_KEY_FILE names a file that cannot be read (${code})`, EX_CONFIG);
  }
}
