export interface TextPosition {
  /** From 1. */
  readonly line: number;
  /** From 1, in characters: what looks like one counts once where Unicode gives it one code point. */
  readonly column: number;
}

/** The line and column of an offset in UTF-16 units. */
export function positionOf(text: string, offset: number): TextPosition {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  return { line, column: [...before.slice(lineStart)].length + 1 };
}
