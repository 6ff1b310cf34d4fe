import type { Fault } from '../errors.ts';
import { jsonPointer } from './json-pointer.ts';
import { decodeText, inexactNumber, isDigit, isLowerLetter, isOfNumber, isSame, textFault } from './json-tokens.ts';

const MAX_DEPTH = 64;
/**
 * Of values and names together: each costs up to 2 µs to check, to convert and to digest. The largest graph that the contract
 * allows, 256 steps that each depend on all before it, has 39,000.
 */
const MAX_PARTS = 50_000;
/** Names of one object that are compared with each other; where there are more, a set is cheaper. */
const MAX_COMPARED = 8;

const [QUOTE, BACKSLASH, COMMA, MINUS] = [0x22, 0x5c, 0x2c, 0x2d];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** An array or object that is open, or what is around all of them. */
interface Container {
  isObject: boolean;
  /** Of the element that is being read. */
  index: number;
  /** Where the name of the member that is being read begins and ends. */
  nameStart: number;
  nameEnd: number;
  /** How many places in `names` belong to the containers around this one. */
  firstName: number;
  /** The names themselves, once they are many or have escapes. */
  seen: Set<string> | undefined;
}

/**
 * What of a JSON text would not arrive as it was sent, or would cost more than its size suggests: two members of one name,
 * a member `__proto__`, text that is no Unicode or has a NUL, a number that a double cannot hold, more than 64 levels, more
 * than 50,000 values and names. Undefined also for a text that is no JSON, of which `JSON.parse` tells. One pass, without
 * recursion; strings are made only of names with escapes, of names in large objects, and for a fault.
 */
export function findJsonFault(text: string): Fault | undefined {
  const { length } = text;
  const containers = [openContainer(false, 0)];
  // Where the names of the open objects begin and end.
  const names: number[] = [];
  let depth = 0;
  let parts = 0;
  let container = containers[0]!;
  let expectsName = false;

  const place = (levels: number) =>
    jsonPointer(
      containers
        .slice(1, levels + 1)
        .map(({ isObject, index, nameStart, nameEnd }) =>
          isObject ? decodeText(text.slice(nameStart, nameEnd)) : index,
        ),
    );
  const fault = (message: string, levels = depth): Fault => ({ pointer: place(levels), message });

  function open(isObject: boolean): void {
    depth++;
    const next = containers[depth];
    if (!next) containers.push(openContainer(isObject, names.length));
    else {
      next.isObject = isObject;
      next.index = 0;
      next.firstName = names.length;
      next.seen = undefined;
    }
    container = containers[depth]!;
    expectsName = isObject;
  }

  /** Whether the object has this name already; remembers it. */
  function repeats(start: number, end: number, hasEscapes: boolean): boolean {
    const { firstName } = container;
    if (!container.seen && !hasEscapes && names.length - firstName < 2 * MAX_COMPARED) {
      for (let known = firstName; known < names.length; known += 2) {
        if (isSame(text, names[known]!, names[known + 1]!, start, end)) return true;
      }
      names.push(start, end);
      return false;
    }
    if (!container.seen) {
      container.seen = new Set();
      for (let known = firstName; known < names.length; known += 2) {
        container.seen.add(text.slice(names[known], names[known + 1]));
      }
    }
    const { size } = container.seen;
    const raw = text.slice(start, end);
    return container.seen.add(hasEscapes ? decodeText(raw) : raw).size === size;
  }

  for (let at = 0; at < length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) {
      const start = at + 1;
      let hasEscapes = false;
      for (at = start; at < length; at++) {
        const inner = text.charCodeAt(at);
        if (inner === QUOTE) break;
        if (inner !== BACKSLASH) continue;
        hasEscapes = true;
        at++;
      }
      const wrong = hasEscapes ? textFault(text, start, at) : undefined;
      parts++;
      if (!expectsName) {
        if (wrong) return fault(`has ${wrong}`);
        continue;
      }
      expectsName = false;
      if (wrong) return fault(`has a member with ${wrong} in its name`, depth - 1);
      container.nameStart = start;
      container.nameEnd = at;
      if (repeats(start, at, hasEscapes)) return fault('is there twice');
      if (isProto(text, start, at, hasEscapes)) return fault('must not be the name of a member');
    } else if (unit === COMMA) {
      container.index++;
      expectsName = container.isObject;
    } else if (unit === OPEN_OBJECT || unit === OPEN_ARRAY) {
      parts++;
      if (depth === MAX_DEPTH) return fault(`is nested deeper than ${MAX_DEPTH} levels`);
      open(unit === OPEN_OBJECT);
    } else if (unit === CLOSE_OBJECT || unit === CLOSE_ARRAY) {
      // One too many is no JSON.
      if (depth === 0) return undefined;
      names.length = container.firstName;
      container = containers[--depth]!;
      expectsName = false;
    } else if (unit === MINUS || isDigit(unit)) {
      const start = at;
      while (isOfNumber(text.charCodeAt(at + 1))) at++;
      parts++;
      const wrong = inexactNumber(text, start, at + 1);
      if (wrong) return fault(wrong);
    } else if (isLowerLetter(unit)) {
      parts++;
      while (isLowerLetter(text.charCodeAt(at + 1))) at++;
    }
    if (parts > MAX_PARTS) return { pointer: '', message: `has more than ${MAX_PARTS} values and names` };
  }
  return undefined;
}

function isProto(text: string, start: number, end: number, hasEscapes: boolean): boolean {
  // A protobuf map in JavaScript is an object, in which this name would be lost without a word.
  if (hasEscapes) return decodeText(text.slice(start, end)) === '__proto__';
  return end - start === 9 && text.startsWith('__proto__', start);
}

function openContainer(isObject: boolean, firstName: number): Container {
  return { isObject, index: 0, nameStart: 0, nameEnd: 0, firstName, seen: undefined };
}
