import { parseArgs } from 'node:util';
import { EX_USAGE, StartupError } from '../src/shared/startup-error.ts';
import type { Effort } from './support/report.ts';

const DEFAULT_ROUNDS = 3;

export interface Arguments {
  readonly areas: readonly string[];
  readonly effort: Effort;
  /** The commit to compare with, in any form that git understands. */
  readonly compare: string | undefined;
}

/** What is asked for on the command line; without any area, all that are `known`. Throws a StartupError. */
export function readArguments(args: string[], known: readonly string[]): Arguments {
  const { positionals, values } = parse(args);
  const unknown = positionals.find((area) => !known.includes(area));
  if (unknown !== undefined) {
    throw new StartupError(`unknown area ${unknown}; there is: ${known.join(', ')}`, EX_USAGE);
  }
  const { quick = false, compare } = values;
  const rounds = Number(values.rounds ?? (quick ? 1 : DEFAULT_ROUNDS));
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new StartupError(`--rounds is "${values.rounds}", but must be a whole number from 1`, EX_USAGE);
  }
  return { areas: positionals.length > 0 ? positionals : known, effort: { rounds, quick }, compare };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { rounds: { type: 'string' }, quick: { type: 'boolean' }, compare: { type: 'string' } },
    });
  } catch (error) {
    const [sentence] = (error as Error).message.split('. ', 1);
    throw new StartupError(sentence!, EX_USAGE);
  }
}
