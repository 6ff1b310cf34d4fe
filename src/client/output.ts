import type { Trouble } from './call.ts';
import type { State } from './contract.ts';

/** Standard output or standard error, as far as it is used here. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

interface OutputOptions {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** JSON is all that standard output gets. */
  readonly isJson?: boolean;
}

export type Output = ReturnType<typeof createOutput>;

const COLOURS: Readonly<Record<string, number>> = { RUNNING: 36, SUCCEEDED: 32, FAILED: 31, CANCELLED: 33 };

/** What people and programs are shown. */
export function createOutput({ stdout, stderr, environment, isJson = false }: OutputOptions) {
  const isTerminal = stdout.isTTY === true && environment.TERM !== 'dumb';
  // https://no-color.org: set to anything but nothing.
  const hasColours = isTerminal && !environment.NO_COLOR;
  const toStderr = (line: string) => stderr.write(`${line}\n`);
  let takeNote: (line: string) => unknown = toStderr;
  return {
    isJson,
    isTerminal,
    stdout,

    /** A line for people. */
    print(line: string): void {
      if (!isJson) stdout.write(`${line}\n`);
    },

    /** A document, or with `compact` a line of many. */
    printJson(value: unknown, { compact = false } = {}): void {
      if (isJson) stdout.write(`${escapeControls(JSON.stringify(value, null, compact ? 0 : 2))}\n`);
    },

    /** A line beside the result. */
    note(line: string): void {
      takeNote(line);
    },

    /** For as long as something on the terminal must not be torn apart by notes. */
    divertNotes(take: (line: string) => unknown = toStderr): void {
      takeNote = take;
    },

    state(state: State): string {
      const colour = hasColours ? COLOURS[state] : undefined;
      return colour === undefined ? state : `\u001b[${colour}m${state}\u001b[0m`;
    },
  };
}

/** Someone else's text: nothing in it moves the cursor, rings, or turns the line around. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, ' ');
}

/** JSON leaves some control characters as they are that a terminal obeys. */
function escapeControls(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** One sentence for each kind of fault, so that ten attempts do not make ten lines. */
export function createTroubleNotes(note: (line: string) => void): (trouble: Trouble, delayMs: number) => void {
  let last = '';
  return ({ message }, delayMs) => {
    if (message === last) return;
    last = message;
    note(`${printable(message)}; trying again in ${Math.ceil(delayMs / 1000)} s`);
  };
}
