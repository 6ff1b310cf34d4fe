import { COMMANDS, COMMON_OPTIONS } from './arguments.ts';
import type { Command, Options } from './command.ts';
import { EXIT_CODES } from './exit-codes.ts';

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['FOLDFORGE_URL', 'where the gateway is (http://127.0.0.1:8080)'],
  ['FOLDFORGE_API_KEY', 'your API key, or the token of the operator'],
  ['FOLDFORGE_API_KEY_FILE', 'a file that has it'],
  ['NO_COLOR', 'set it for no colours'],
  ['NODE_USE_ENV_PROXY', 'set it to 1 for HTTP_PROXY, HTTPS_PROXY and NO_PROXY to count'],
  ['NODE_EXTRA_CA_CERTS', 'a file of certificates to trust besides the usual ones'],
];

/** What `--help` prints: of all, or of one command. */
export function formatHelp(name: string | undefined): string {
  const command = name === undefined ? undefined : COMMANDS[name];
  const sections = command && name !== undefined ? helpOf(name, command) : generalHelp();
  return sections.join('\n\n');
}

function generalHelp(): string[] {
  const commands = Object.entries(COMMANDS).map(([name, each]) => [usageOf(name, each), each.about] as const);
  return [
    'Design proteins from the command line.\n\nUsage: foldforge COMMAND [ARGUMENTS] [OPTIONS]',
    section('Commands', commands),
    ...common(),
    'foldforge COMMAND --help tells more of a command.',
  ];
}

function helpOf(name: string, command: Command): string[] {
  return [
    `${command.about}.\n\nUsage: foldforge ${usageOf(name, command)} [OPTIONS]`,
    ...(command.details ? [command.details] : []),
    ...(Object.keys(command.options).length > 0 ? [section('Options', rowsOf(command.options))] : []),
    ...common(),
  ];
}

function common(): string[] {
  return [
    section('Options of every command', rowsOf(COMMON_OPTIONS)),
    section('Environment', ENVIRONMENT),
    section(
      'Exit codes',
      EXIT_CODES.map(([code, about]) => [String(code), about] as const),
    ),
  ];
}

function usageOf(name: string, { positionals }: Command): string {
  return [name, ...positionals].join(' ');
}

function rowsOf(options: Options): (readonly [string, string])[] {
  return Object.entries(options).map(([name, { value, about }]) => [`--${name}${value ? ` ${value}` : ''}`, about]);
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return [`${title}:`, ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)].join('\n');
}
