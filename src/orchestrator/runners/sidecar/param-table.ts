import type { Params } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import { nearestName } from './nearest-name.ts';
import { isObject, type Kind } from './param-kinds.ts';

/** One parameter: what it may be, what it is when it is not given, and what it means (for the docs). */
export interface Param<T> {
  readonly says: string;
  readonly meaning: string;
  /** As an author would write it; empty: none. */
  readonly fallbackText: string;
  readonly isRequired: boolean;
  /** Undefined and null: not given. Throws StepFailure, INVALID_ARGUMENT. */
  readonly read: (value: unknown, name: string) => T;
}

export type ParamTable = Readonly<Record<string, Param<unknown>>>;
export type ValuesOf<P extends ParamTable> = { readonly [K in keyof P]: P[K] extends Param<infer T> ? T : never };

const MAX_QUOTED_CHARACTERS = 64;

export function required<T>({ says, read }: Kind<T>, meaning: string): Param<T> {
  return {
    says,
    meaning,
    fallbackText: '',
    isRequired: true,
    read(value, name) {
      if (value === undefined || value === null) throw refuse('INVALID_ARGUMENT', `${name} is missing`);
      return read(value, name);
    },
  };
}

/** Undefined when it is not given: the tool, or what its inputs bring, decides. */
export function optional<T>({ says, read }: Kind<T>, meaning: string): Param<T | undefined> {
  const readGiven: Param<T | undefined>['read'] = (value, name) => {
    return value === undefined || value === null ? undefined : read(value, name);
  };
  return { says, meaning, fallbackText: '', isRequired: false, read: readGiven };
}

export function withDefault<T>(
  kind: Kind<T>,
  fallback: T,
  meaning: string,
  fallbackText = JSON.stringify(fallback),
): Param<T> {
  const { says, read } = optional(kind, meaning);
  return {
    says,
    meaning,
    fallbackText,
    isRequired: false,
    read: (value, name) => read(value, name) ?? fallback,
  };
}

/**
 * Reads what an author wrote. `where` is where the values stand, such as `params`, and `whose` says whose they are.
 * Throws StepFailure, INVALID_ARGUMENT, with a message that names the first value that is wrong.
 */
export function readParams<P extends ParamTable>(table: P, params: Params, where: string, whose: string): ValuesOf<P> {
  const unknown = Object.keys(params).find((name) => !Object.hasOwn(table, name));
  if (unknown !== undefined) throw refuse('INVALID_ARGUMENT', sayUnknown(table, unknown, where, whose));
  const values = Object.entries(table).map(([name, { read }]) => {
    return [name, read(Object.hasOwn(params, name) ? params[name] : undefined, `${where}.${name}`)];
  });
  return Object.fromEntries(values);
}

/** An object whose members are a table's. */
export function object<P extends ParamTable>(table: P, whose: string): Kind<ValuesOf<P>> {
  const says = `an object with ${Object.keys(table).join(', ')}`;
  const read = (value: unknown, name: string) => {
    if (!isObject(value)) throw refuse('INVALID_ARGUMENT', `${name} must be ${says}`);
    return readParams(table, value, name, whose);
  };
  return { says, read };
}

export function listOf<T>(inner: Kind<T>): Kind<readonly T[]> {
  const says = `a list, each entry ${inner.says}`;
  const read = (value: unknown, name: string) => {
    if (!Array.isArray(value)) throw refuse('INVALID_ARGUMENT', `${name} must be ${says}`);
    return value.map((entry, index) => inner.read(entry, `${name}[${index}]`));
  };
  return { says, read };
}

function sayUnknown(table: ParamTable, name: string, where: string, whose: string): string {
  if (where === 'params' && name === 'mock') {
    return 'params.mock is for the mock runner (RUNNER=mock), and this orchestrator has real tools';
  }
  const known = Object.keys(table);
  const near = nearestName(name, known);
  const shown = name.length > MAX_QUOTED_CHARACTERS ? `${name.slice(0, MAX_QUOTED_CHARACTERS)}…` : name;
  const hint = near ? ` (did you mean ${near}?)` : '';
  return `${where}.${shown.toWellFormed()} is not known to ${whose}${hint}, which has: ${known.join(', ')}`;
}
