import type { ParseArgsConfig, parseArgs } from 'node:util';
import { EX_USAGE, StartupError } from '../shared/startup-error.ts';
import type { ApiClient } from './api.ts';
import type { Output } from './output.ts';

/** As parseArgs of node:util takes it, with what `--help` says. */
export interface Option {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** What stands for the value in `--help`. */
  readonly value?: string;
  readonly about: string;
}

export type Options = Readonly<Record<string, Option>>;

type Values<O extends Options> = ReturnType<
  typeof parseArgs<{ options: O extends ParseArgsConfig['options'] ? O : never; strict: true }>
>['values'];

/** What a command is given. */
export interface CommandCall<O extends Options> {
  readonly values: Values<O>;
  /** As many as the usage says. */
  readonly positionals: readonly string[];
  readonly api: ApiClient;
  readonly output: Output;
  /** How long to go on trying, in milliseconds, if the user has said so. */
  readonly timeoutMs: number | undefined;
  readonly readStdin: () => Promise<string>;
}

export interface Command<O extends Options = Options> {
  /** The positional arguments, as `--help` shows them: the last may end in `…`, and brackets mean that it may be left out. */
  readonly positionals: readonly string[];
  readonly about: string;
  readonly details?: string;
  readonly options: O;
  /** Answers with the exit code. */
  readonly run: (call: CommandCall<O>) => Promise<number>;
}

/** Gives `run` the types of its options. */
export function defineCommand<const O extends Options>(command: Command<O>): Command {
  return command as unknown as Command;
}

/** Throws a StartupError unless it is a whole number in [min, 2^32). */
export function parseCount(name: string, text: string, min = 0): number {
  const count = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= min && count < 2 ** 32) return count;
  throw new StartupError(`${name} is "${text}", but must be a whole number of at least ${min}`, EX_USAGE);
}

/** Throws a StartupError unless each is `key=value`. */
export function checkLabels(labels: readonly string[]): readonly string[] {
  const wrong = labels.find((label) => !/^[^=]+=/.test(label));
  if (wrong === undefined) return labels;
  throw new StartupError(`--label is "${wrong}", but must be key=value`, EX_USAGE);
}
