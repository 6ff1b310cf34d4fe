import { type ParseArgsConfig, parseArgs } from 'node:util';
import { EX_USAGE, StartupError } from '../shared/startup-error.ts';
import { type Command, type Options, parseCount } from './command.ts';
import { cancel } from './commands/cancel.ts';
import { download } from './commands/download.ts';
import { get } from './commands/get.ts';
import { list } from './commands/list.ts';
import { rank } from './commands/rank.ts';
import { retry } from './commands/retry.ts';
import { submit } from './commands/submit.ts';
import { watch } from './commands/watch.ts';

export const COMMANDS: Readonly<Record<string, Command>> = { submit, list, get, watch, cancel, retry, rank, download };

/** What every command takes. */
export const COMMON_OPTIONS = {
  json: { type: 'boolean', about: 'JSON is all that standard output gets' },
  url: { type: 'string', value: 'URL', about: 'where the gateway is' },
  timeout: {
    type: 'string',
    value: 'S',
    about: 'how many seconds to go on trying (60; 600 for watching); 0 means once',
  },
  help: { type: 'boolean', about: 'show this' },
  version: { type: 'boolean', about: 'show the version' },
} as const satisfies Options;

/** What the user wants: a command, or only to be told something. */
export type Wish =
  | { readonly kind: 'help'; readonly name: string | undefined }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'command';
      readonly command: Command;
      readonly positionals: readonly string[];
      readonly values: Parameters<Command['run']>[0]['values'];
      readonly isJson: boolean;
      readonly url: string | undefined;
      readonly timeoutMs: number | undefined;
    };

/** Throws a StartupError (exit code 64) that says what is wrong, and never shows what may be a key. */
export function readArguments(args: readonly string[]): Wish {
  const loose = parseArgs({ args: [...args], options: COMMON_OPTIONS, strict: false, allowPositionals: true });
  const [name] = loose.positionals;
  if (loose.values.version === true) return { kind: 'version' };
  if (name === 'help') return { kind: 'help', name: knownName(loose.positionals[1]) };
  if (loose.values.help === true) return { kind: 'help', name: knownName(name) };
  if (name === undefined) throw usage('a command is missing', undefined);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw usage(`there is no command ${name}`, undefined);
  const { values, positionals } = parse(name, command, args);
  const { json, url, timeout, ...own } = values as Record<string, unknown> & { url?: string; timeout?: string };
  checkPositionals(name, command, positionals);
  const timeoutMs = timeout === undefined ? undefined : parseCount('--timeout', timeout) * 1000;
  return { kind: 'command', command, positionals, values: own as never, isJson: json === true, url, timeoutMs };
}

function parse(name: string, command: Command, args: readonly string[]) {
  const options = { ...COMMON_OPTIONS, ...command.options } as ParseArgsConfig['options'] & object;
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return { values, positionals: positionals.slice(1) };
  } catch (error) {
    // Its first sentence; the rest is advice for other cases.
    const message = (error as Error).message.split(/\.(?: |\n|$)|\n/)[0]!;
    const isKey = /'--?(?:api-?key|key|token|bearer|password)'/.test(message);
    const advice = isKey ? '; a key comes from FOLDFORGE_API_KEY or FOLDFORGE_API_KEY_FILE' : '';
    throw usage(message.charAt(0).toLowerCase() + message.slice(1) + advice, name);
  }
}

function checkPositionals(name: string, { positionals: wanted }: Command, given: readonly string[]): void {
  const least = wanted.filter((each) => !each.startsWith('[')).length;
  const most = wanted.some((each) => each.includes('…')) ? Number.POSITIVE_INFINITY : wanted.length;
  if (given.length < least) throw usage(`${wanted[given.length]} is missing`, name);
  if (given.length > most) throw usage(`${given[most]} is one argument too many`, name);
  if (given.includes('')) throw usage(`${wanted[0]} is empty`, name);
}

function knownName(name: string | undefined): string | undefined {
  return name !== undefined && Object.hasOwn(COMMANDS, name) ? name : undefined;
}

function usage(message: string, name: string | undefined): StartupError {
  return new StartupError(`${message}; see foldforge ${name === undefined ? '' : `${name} `}--help`, EX_USAGE);
}
