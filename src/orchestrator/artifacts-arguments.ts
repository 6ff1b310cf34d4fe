import { parseArgs } from 'node:util';
import { EX_USAGE, StartupError } from '../shared/startup-error.ts';
import { readDurationMs } from './duration.ts';

const USAGE = 'usage: artifacts list [--older-than <age>] | artifacts delete [--older-than <age>] [--yes]';
/** Longer than a step takes from storing its first artifact to its end. */
const DEFAULT_AGE = '7d';

export interface ArtifactsArguments {
  readonly verb: 'list' | 'delete';
  /** Since when nobody refers to an artifact. */
  readonly ageMs: number;
  /** Whether it is meant: otherwise `delete` only says what it would do. */
  readonly sure: boolean;
}

/** Reads what follows `artifacts`. Throws StartupError, exit code 64. */
export function readArtifactsArguments([verb, ...rest]: readonly string[]): ArtifactsArguments {
  if (verb !== 'list' && verb !== 'delete') throw new StartupError(USAGE, EX_USAGE);
  const { 'older-than': age = DEFAULT_AGE, yes = false } = parse(rest);
  if (yes && verb === 'list') throw new StartupError(`a list needs no --yes; ${USAGE}`, EX_USAGE);
  return { verb, ageMs: readAge(age), sure: yes };
}

function parse(args: readonly string[]) {
  try {
    const options = { 'older-than': { type: 'string' }, yes: { type: 'boolean' } } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new StartupError(`${(error as Error).message}; ${USAGE}`, EX_USAGE, { cause: error });
  }
}

function readAge(text: string): number {
  const ageMs = readDurationMs(text);
  if (ageMs !== undefined) return ageMs;
  throw new StartupError(`--older-than is "${text}", but must be a duration such as 7d, 12h or 30m`, EX_USAGE);
}
