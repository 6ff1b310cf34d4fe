import type { Params } from '../runner.ts';
import { refuse } from '../step-failure.ts';

/** What a value may be, and how it is read. */
export interface Kind<T> {
  /** Completes the sentence "params.x must be …". */
  readonly says: string;
  /** `name` is the whole name, such as `params.chains[0].id`. Throws StepFailure, INVALID_ARGUMENT. */
  readonly read: (value: unknown, name: string) => T;
}

export const MAX_UINT32 = 2 ** 32 - 1;
// A server of gRPC takes 4 MiB unless it is told otherwise, and there is more in the request.
const MAX_INLINE_BYTES = 3 * 1024 * 1024;
const NOT_UNDERSTOOD = Symbol('not understood');

/** A kind whose values are understood one by one: `parse` answers with NOT_UNDERSTOOD for what it does not take. */
function kind<T>(says: string, parse: (value: unknown) => T | typeof NOT_UNDERSTOOD): Kind<T> {
  const read = (value: unknown, name: string): T => {
    const parsed = parse(value);
    if (parsed !== NOT_UNDERSTOOD) return parsed;
    throw refuse('INVALID_ARGUMENT', `${name} must be ${says}`);
  };
  return { says, read };
}

export function whole(min = 0, max = MAX_UINT32): Kind<number> {
  const isTaken = (value: unknown) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
  return kind(`a whole number from ${min} to ${max}`, (value) => (isTaken(value) ? (value as number) : NOT_UNDERSTOOD));
}

/** JSON has these as text (protobuf's JSON mapping), or as numbers when they are small. */
export const uint64 = kind('a whole number', (value) => {
  if (typeof value === 'string' && /^\d{1,19}$/.test(value)) return BigInt(value);
  return Number.isSafeInteger(value) && (value as number) >= 0 ? BigInt(value as number) : NOT_UNDERSTOOD;
});

export function decimal(min: number, max: number): Kind<number> {
  return kind(`a number from ${min} to ${max}`, (value) =>
    typeof value === 'number' && value >= min && value <= max ? value : NOT_UNDERSTOOD,
  );
}

export const flag = kind('true or false', (value) => (typeof value === 'boolean' ? value : NOT_UNDERSTOOD));

/** Protobuf has no place for half a surrogate pair. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

export const text = kind('a text', (value) => (isText(value) ? value : NOT_UNDERSTOOD));

export const filledText = kind('a text that is not empty', (value) =>
  isText(value) && value.trim() !== '' ? value : NOT_UNDERSTOOD,
);

export const texts = kind('a list of texts', (value) =>
  Array.isArray(value) && value.every(isText) ? (value as string[]) : NOT_UNDERSTOOD,
);

export const textMap = mapOf('an object whose values are texts', isText);
export const numberMap = mapOf('an object whose values are numbers', (value) => typeof value === 'number');

function mapOf<T>(says: string, isTaken: (value: unknown) => value is T): Kind<Record<string, T>> {
  return kind(says, (value) => {
    if (!isObject(value)) return NOT_UNDERSTOOD;
    const entries = Object.entries(value);
    // A map field of that name would set an object's prototype.
    const isTakenWhole = entries.every(([key, inner]) => isText(key) && key !== '__proto__' && isTaken(inner));
    return isTakenWhole ? (Object.fromEntries(entries) as Record<string, T>) : NOT_UNDERSTOOD;
  });
}

/** Names of an enum's values, in either case, with or without the prefix that they have in the contract. */
export function choice<V extends number>(prefix: string, values: Readonly<Record<string, V>>): Kind<V> {
  const names = Object.keys(values);
  return kind(`one of: ${names.join(', ')}`, (value) => {
    if (typeof value !== 'string') return NOT_UNDERSTOOD;
    const lower = value.toLowerCase();
    const name = lower.startsWith(prefix) ? lower.slice(prefix.length) : lower;
    return Object.hasOwn(values, name) ? values[name]! : NOT_UNDERSTOOD;
  });
}

/** One-letter codes; answers with them in capitals, without white space. With several chains ":" stands between them. */
export function residues({ chains }: { chains: 'one' | 'several' }): Kind<string> {
  const letterPattern = chains === 'one' ? /^[A-Z]+$/ : /^[A-Z]+(?::[A-Z]+)*$/;
  const says = chains === 'one' ? 'one-letter codes' : 'one-letter codes, with ":" between chains';
  return kind(says, (value) => {
    if (typeof value !== 'string') return NOT_UNDERSTOOD;
    const letters = value.replace(/\s+/g, '').toUpperCase();
    return letterPattern.test(letters) ? letters : NOT_UNDERSTOOD;
  });
}

/** RFC 4648, section 4; answers with the bytes. Line breaks are allowed, since tools write them. */
export const base64 = kind(`base64 of 1 to ${MAX_INLINE_BYTES} bytes`, (value): Uint8Array | typeof NOT_UNDERSTOOD => {
  if (typeof value !== 'string') return NOT_UNDERSTOOD;
  const joined = value.replace(/\s+/g, '');
  if (joined.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(joined)) return NOT_UNDERSTOOD;
  const bytes = Buffer.from(joined, 'base64');
  return bytes.length > 0 && bytes.length <= MAX_INLINE_BYTES ? bytes : NOT_UNDERSTOOD;
});

export function pattern(says: string, expression: RegExp): Kind<string> {
  return kind(says, (value) => (isText(value) && expression.test(value) ? value : NOT_UNDERSTOOD));
}

export function isObject(value: unknown): value is Params {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
