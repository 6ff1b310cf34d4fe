/** A part of a text, in UTF-16 units; `end` is not in it. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface JsonNode extends Span {
  /** Of an object; of members with one name the last counts, as it does for JSON.parse. */
  readonly members?: ReadonlyMap<string, JsonMember>;
  readonly items?: readonly JsonNode[];
  /** Of a string. */
  readonly text?: string;
}

export interface JsonMember {
  readonly key: Span;
  readonly value: JsonNode;
}

/** A text that is no JSON; `offset` is where, in UTF-16 units. */
export class JsonFault extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.name = 'JsonFault';
    this.offset = offset;
  }
}

/** Far more than the API takes, and far less than the stack. */
const MAX_DEPTH = 500;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: They are what RFC 8259, section 7, keeps out of strings.
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: See above.
const STRING_START = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*/y;
const SPACE = /[ \t\n\r]*/y;
const WORD = /true|false|null/y;

/** Reads a JSON text (RFC 8259), keeping where each value stands. Throws a JsonFault. */
export function parseJsonText(text: string): JsonNode {
  let at = 0;

  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  }

  function skip(character: string): boolean {
    take(SPACE);
    if (text[at] !== character) return false;
    at++;
    return true;
  }

  function fail(expected: string, offset = at): never {
    if (offset >= text.length) throw new JsonFault(`The text ends where ${expected} should be.`, text.length);
    throw new JsonFault(`Expected ${expected}, but there is ${quote(text, offset)}.`, offset);
  }

  function readString(what: string): JsonNode & { readonly text: string } {
    const start = at;
    const source = take(STRING);
    if (source !== undefined) return { start, end: at, text: JSON.parse(source) };
    if (text[at] !== '"') fail(what);
    take(STRING_START);
    if (text[at] === '\\')
      throw new JsonFault('A backslash must begin one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000.', at);
    if (at >= text.length || text[at] === '\n') throw new JsonFault('This string has no end.', start);
    throw new JsonFault('A control character must be written as an escape such as \\t.', at);
  }

  function readValue(depth: number, what: string): JsonNode {
    take(SPACE);
    const start = at;
    if (depth > MAX_DEPTH) throw new JsonFault(`Nested more than ${MAX_DEPTH} levels deep.`, start);
    switch (text[at]) {
      case '{':
        return readObject(depth);
      case '[':
        return readArray(depth);
      case '"':
        return readString('a string');
    }
    if (take(NUMBER) === undefined && take(WORD) === undefined) fail(what);
    return { start, end: at };
  }

  function readObject(depth: number): JsonNode {
    const start = at++;
    const members = new Map<string, JsonMember>();
    if (!skip('}')) {
      do {
        take(SPACE);
        const { text: name, ...key } = readString('a name in double quotes');
        if (!skip(':')) fail('a colon');
        members.set(name, { key, value: readValue(depth + 1, 'a value') });
      } while (skip(','));
      if (!skip('}')) fail('a comma or }');
    }
    return { start, end: at, members };
  }

  function readArray(depth: number): JsonNode {
    const start = at++;
    const items: JsonNode[] = [];
    if (!skip(']')) {
      do {
        items.push(readValue(depth + 1, 'a value'));
      } while (skip(','));
      if (!skip(']')) fail('a comma or ]');
    }
    return { start, end: at, items };
  }

  const root = readValue(0, 'a value');
  take(SPACE);
  if (at < text.length) fail('the end of the text');
  return root;
}

function quote(text: string, offset: number): string {
  const character = String.fromCodePoint(text.codePointAt(offset)!);
  return character === '"' ? 'a double quote' : character === '\n' ? 'the end of the line' : `"${character}"`;
}
