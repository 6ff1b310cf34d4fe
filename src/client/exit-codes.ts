import { EX_CONFIG, EX_UNAVAILABLE, EX_USAGE, StartupError } from '../shared/startup-error.ts';
import { ApiError, ConnectionError } from './api-error.ts';
import type { State } from './contract.ts';

// Below 64 it is the outcome; from 64 on the codes are those of sysexits.h, and above 128 of shells.
export const EXIT_FAILED = 1;
export const EXIT_CANCELLED = 3;
export const EXIT_REFUSED = 4;
export const EXIT_UNAUTHORISED = 5;
export const EX_DATAERR = 65;
export const EX_NOINPUT = 66;
export const EX_SOFTWARE = 70;
export const EX_IOERR = 74;
const SIGNALLED = { SIGINT: 130, SIGTERM: 143 } as const;

/** For `--help`. */
export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [0, 'done; where a workflow was watched, it SUCCEEDED'],
  [EXIT_FAILED, 'the workflow that was watched FAILED'],
  [EXIT_CANCELLED, 'the workflow that was watched was CANCELLED'],
  [EXIT_REFUSED, 'the server refused: a 4xx other than 401 and 403'],
  [EXIT_UNAUTHORISED, 'not authorised: 401 or 403'],
  [EX_USAGE, 'wrong arguments'],
  [EX_DATAERR, 'bad data: FILE is not JSON, or a file came with another SHA-256'],
  [EX_NOINPUT, 'FILE cannot be read'],
  [EX_UNAVAILABLE, 'no connection, or a 5xx, until the time was up'],
  [EX_IOERR, 'a file cannot be written'],
  [EX_CONFIG, 'a variable of the environment is wrong or missing'],
  [SIGNALLED.SIGINT, 'interrupted by Ctrl-C (143: by SIGTERM)'],
];

export function exitCodeOfState(state: State): number {
  switch (state) {
    case 'SUCCEEDED':
      return 0;
    case 'FAILED':
      return EXIT_FAILED;
    case 'CANCELLED':
      return EXIT_CANCELLED;
    default:
      throw new StartupError(`the workflow has ended in a state that is not known here: ${state}`, EX_SOFTWARE);
  }
}

/** Undefined for what nobody foresaw, which is a fault of ours. */
export function exitCodeOfError(error: unknown): number | undefined {
  if (error instanceof StartupError) return error.exitCode;
  if (error instanceof ConnectionError) return EX_UNAVAILABLE;
  if (error instanceof ApiError) {
    if (error.status < 400) return EX_CONFIG;
    if (error.status === 401 || error.status === 403) return EXIT_UNAUTHORISED;
    return error.status < 500 ? EXIT_REFUSED : EX_UNAVAILABLE;
  }
  // Of the system's own errors, only those about files get here.
  return error instanceof Error && 'syscall' in error ? EX_IOERR : undefined;
}

export function exitCodeOfSignal(reason: unknown): number {
  return reason === 'SIGTERM' ? SIGNALLED.SIGTERM : SIGNALLED.SIGINT;
}
