import type { Params, StepFault } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import { readFlag, readNumber, readObject, readText, readWhole } from './params.ts';

/** What `params.mock` asks of a run. */
export interface Behaviour {
  /** How long the run takes, in seconds; undefined: as long as such a tool does. */
  readonly seconds: number | undefined;
  /** Where the run breaks off; undefined: it does not. */
  readonly fault: StepFault | undefined;
}

const FAULT_CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/**
 * Reads `params.mock`: `fail` breaks every attempt and `fail_attempts` the first so many, with `code` and `message` if
 * given; `seconds` sets the time. Throws StepFailure.
 */
export function readBehaviour(params: Params, attempt: number): Behaviour {
  const mock = readObject(params, 'mock');
  if (!mock) return { seconds: undefined, fault: undefined };
  const named: Params = Object.fromEntries(Object.entries(mock).map(([key, value]) => [`mock.${key}`, value]));
  const seconds = readNumber(named, 'mock.seconds', { min: 0, max: 86_400 });
  const failAttempts = readWhole(named, 'mock.fail_attempts', { default: 0, min: 0, max: 1_000_000 });
  const code = readText(named, 'mock.code') ?? 'OOM';
  if (!FAULT_CODE.test(code)) {
    throw refuse('INVALID_ARGUMENT', 'params.mock.code must be a word such as OOM: capitals, digits and "_"');
  }
  const message =
    readText(named, 'mock.message') ??
    (code === 'OOM' ? 'CUDA out of memory: tried to allocate 2.50 GiB' : `the mock was asked to fail with ${code}`);
  const fails = readFlag(named, 'mock.fail') || attempt <= failAttempts;
  return { seconds, fault: fails ? { code, message, retryable: true } : undefined };
}
