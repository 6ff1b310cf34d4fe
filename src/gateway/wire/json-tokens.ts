// What there is in a JSON text, by where it begins and ends: nothing here makes a string where it can do without. Of text
// that is no JSON all of this may say anything, but ends.

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const ESCAPE_CHARS = 6;

/** What is wrong with a text between its quotes, in words that follow `with` or `has`; only escapes can be wrong. */
export function textFault(text: string, start: number, end: number): string | undefined {
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) !== BACKSLASH) continue;
    at++;
    if (text.charCodeAt(at) !== LETTER_U) continue;
    const unit = codeUnit(text, at + 1);
    at += 4;
    // Postgres has no text with one, and what is written in C ends there.
    if (unit === 0) return 'a NUL character';
    if (unit < 0xd800 || unit > 0xdfff) continue;
    // Half a pair has no UTF-8, and so would be changed on its way without a word (RFC 8259, section 8.2).
    if (unit > 0xdbff || !isLowSurrogate(text, at + 1)) return 'text that is not Unicode, a lone surrogate,';
    at += ESCAPE_CHARS;
  }
  return undefined;
}

/**
 * What is wrong with a number: what a double holds of it is another one (RFC 7493, section 2.2). A fraction is always rounded,
 * so only integers written out can be wrong, and what no double is as large as.
 */
export function inexactNumber(text: string, start: number, end: number): string | undefined {
  // Fifteen digits fit always; an exponent takes three characters to be large.
  if (end - start <= 15 && !hasLargeExponent(text, start, end)) return undefined;
  const literal = text.slice(start, end);
  const value = Number(literal);
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
    return 'is larger than any number can be';
  }
  if (!/^-?[1-9]\d{15,309}$/.test(literal)) return undefined;
  // JavaScript writes the shortest digits that mean the same double: 2^60 with zeros at the end.
  if (String(value) === literal || BigInt(literal) === BigInt(value)) return undefined;
  return 'is an integer that a double cannot hold: send it as a string';
}

/** Whether two parts of a text are the same characters. */
export function isSame(text: string, start: number, end: number, otherStart: number, otherEnd: number): boolean {
  if (end - start !== otherEnd - otherStart) return false;
  for (let at = start, other = otherStart; at < end; at++, other++) {
    if (text.charCodeAt(at) !== text.charCodeAt(other)) return false;
  }
  return true;
}

/** A text, of which this is what stands between its quotes. */
export function decodeText(raw: string): string {
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return raw;
  }
}

export function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

export function isLowerLetter(unit: number): boolean {
  return unit >= 0x61 && unit <= 0x7a;
}

/** Digits, sign, point and exponent. */
export function isOfNumber(unit: number): boolean {
  return isDigit(unit) || unit === 0x2e || isExponent(unit) || unit === 0x2b || unit === 0x2d;
}

function hasLargeExponent(text: string, start: number, end: number): boolean {
  for (let at = start; at < end - 3; at++) {
    if (isExponent(text.charCodeAt(at))) return true;
  }
  return false;
}

function isExponent(unit: number): boolean {
  return (unit | 0x20) === 0x65;
}

function isLowSurrogate(text: string, at: number): boolean {
  if (text.charCodeAt(at) !== BACKSLASH || text.charCodeAt(at + 1) !== LETTER_U) return false;
  const unit = codeUnit(text, at + 2);
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** Four hexadecimal digits as a number, -1 for anything else. */
function codeUnit(text: string, at: number): number {
  let unit = 0;
  for (let index = at; index < at + 4; index++) {
    const char = text.charCodeAt(index);
    if (isDigit(char)) unit = unit * 16 + char - 0x30;
    else if ((char | 0x20) >= 0x61 && (char | 0x20) <= 0x66) unit = unit * 16 + (char | 0x20) - 0x57;
    else return -1;
  }
  return unit;
}
