import type { Params } from '../runner.ts';
import { refuse } from '../step-failure.ts';

interface NumberRange {
  readonly min: number;
  readonly max: number;
}

/** A whole number in [min, max], or the default when unset. Throws StepFailure. */
export function readWhole(params: Params, name: string, range: NumberRange & { default: number }): number {
  const value = params[name] ?? range.default;
  if (typeof value === 'number' && Number.isInteger(value) && value >= range.min && value <= range.max) return value;
  throw refuse('INVALID_ARGUMENT', `params.${name} must be a whole number from ${range.min} to ${range.max}`);
}

/** A number in [min, max], or undefined when unset. Throws StepFailure. */
export function readNumber(params: Params, name: string, { min, max }: NumberRange): number | undefined {
  const value = params[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw refuse('INVALID_ARGUMENT', `params.${name} must be a number from ${min} to ${max}`);
}

/** A text, or undefined when unset. Throws StepFailure. */
export function readText(params: Params, name: string): string | undefined {
  const value = params[name] ?? undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw refuse('INVALID_ARGUMENT', `params.${name} must be a text`);
}

/** True or false; false when unset. Throws StepFailure. */
export function readFlag(params: Params, name: string): boolean {
  const value = params[name] ?? false;
  if (typeof value === 'boolean') return value;
  throw refuse('INVALID_ARGUMENT', `params.${name} must be true or false`);
}

/** An object, or undefined when unset. Throws StepFailure. */
export function readObject(params: Params, name: string): Params | undefined {
  const value = params[name] ?? undefined;
  if (value === undefined || isObject(value)) return value;
  throw refuse('INVALID_ARGUMENT', `params.${name} must be an object`);
}

/** A list of objects, or undefined when unset. Throws StepFailure. */
export function readObjects(params: Params, name: string): readonly Params[] | undefined {
  const value = params[name] ?? undefined;
  if (value === undefined || (Array.isArray(value) && value.every(isObject))) return value;
  throw refuse('INVALID_ARGUMENT', `params.${name} must be a list of objects`);
}

function isObject(value: unknown): value is Params {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
