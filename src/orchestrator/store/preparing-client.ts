import { createHash } from 'node:crypto';
import pg from 'pg';

/** By text. Statements are written in the program, so there are only so many. */
const names = new Map<string, string>();

/** The engine also writes lists with a parameter for each entry: one statement for each length, each kept for ever. */
const MAX_PARAMETERS = 40;

/**
 * A connection that has each statement with parameters planned once, which is most of the work that short ones are to the
 * server. One whose best plan depends on its parameters is given as an object, `{ text, values }`, and planned each time.
 */
export class PreparingClient extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: pg declares eight forms, of which one is changed.
  override query(...args: any[]): any {
    const [text, values, ...rest] = args;
    const isPlain = typeof text === 'string' && Array.isArray(values) && isShort(values);
    return super.query(...((isPlain ? [{ name: nameOf(text), text, values }, ...rest] : args) as [string]));
  }
}

function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = createHash('sha256').update(text).digest('base64url');
  names.set(text, name);
  return name;
}

function isShort({ length }: readonly unknown[]): boolean {
  return length > 0 && length <= MAX_PARAMETERS;
}
