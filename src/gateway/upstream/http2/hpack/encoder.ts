import { STATIC_TABLE } from './static-table.ts';

/**
 * The first octet of the first field block on each connection: a table size update to 0. It says that this encoder has no
 * dynamic table, which a peer that announces a small one may insist on (RFC 9113, section 4.3.1).
 */
export const NO_DYNAMIC_TABLE = 0x20;

/** A field block without state: what the static table has is indexed, all else literal without indexing and without Huffman. */
export function encodeFields(fields: Iterable<readonly [name: string, value: string]>): Buffer {
  const list = [...fields];
  const block = Buffer.allocUnsafe(list.reduce((size, [name, value]) => size + encodedLength(name, value), 0));
  let offset = 0;
  for (const [name, value] of list) offset = writeField(block, offset, name, value);
  return block;
}

/** How many octets `writeField` takes for this field. */
export function encodedLength(name: string, value: string): number {
  return lengthAs(staticIndex(name, value), name, value);
}

/**
 * Writes one field at `offset` of `target`, and returns the offset behind it. Throws TypeError for a name or value that no
 * field may have (RFC 9113, section 8.2.1), and RangeError when it does not fit.
 */
export function writeField(target: Buffer, offset: number, name: string, value: string): number {
  const index = staticIndex(name, value);
  if (offset + lengthAs(index, name, value) > target.length) throw new RangeError(`the field ${name} does not fit`);
  if (index > 0) {
    target[offset] = 0x80 | index;
    return offset + 1;
  }
  const behindIndex = writeInteger(target, offset, -index, 0x0f);
  return writeValue(target, index < 0 ? behindIndex : writeName(target, behindIndex, name), name, value);
}

function lengthAs(index: number, name: string, value: string): number {
  if (index > 0) return 1;
  return integerLength(-index, 0x0f) + (index < 0 ? 0 : stringLength(name)) + stringLength(value);
}

/** Positive: the index of the whole field. Negative: minus the index of one with this name. 0: neither is there. */
function staticIndex(name: string, value: string): number {
  firstIndices ??= new Map(STATIC_TABLE.map(([entryName], at) => [entryName, at + 1] as const).reverse());
  const first = firstIndices.get(name);
  if (first === undefined) return 0;
  // Entries of one name are neighbours.
  for (let index = first; STATIC_TABLE[index - 1]?.[0] === name; index += 1) {
    if (STATIC_TABLE[index - 1]![1] === value) return index;
  }
  return -first;
}

let firstIndices: ReadonlyMap<string, number> | undefined;

function integerLength(value: number, prefixMask: number): number {
  if (value < prefixMask) return 1;
  let length = 2;
  for (let rest = value - prefixMask; rest >= 0x80; rest = Math.floor(rest / 0x80)) length += 1;
  return length;
}

/** RFC 7541, section 5.1; the bits before the prefix are 0. */
function writeInteger(target: Buffer, offset: number, value: number, prefixMask: number): number {
  let at = offset;
  if (value < prefixMask) {
    target[at++] = value;
    return at;
  }
  target[at++] = prefixMask;
  let rest = value - prefixMask;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target[at++] = 0x80 | (rest & 0x7f);
  target[at++] = rest;
  return at;
}

function stringLength(text: string): number {
  return integerLength(text.length, 0x7f) + text.length;
}

const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;

function writeName(target: Buffer, offset: number, name: string): number {
  if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a field`);
  const at = writeInteger(target, offset, name.length, 0x7f);
  return at + target.write(name, at, 'latin1');
}

function writeValue(target: Buffer, offset: number, name: string, value: string): number {
  let at = writeInteger(target, offset, value.length, 0x7f);
  if (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))) {
    throw new TypeError(`the value of ${name} begins or ends with a blank`);
  }
  for (let index = 0; index < value.length; index += 1) {
    const code = value.charCodeAt(index);
    // NUL, LF and CR; above 0xff there is no octet for it.
    if (code === 0 || code === 0x0a || code === 0x0d || code > 0xff) {
      throw new TypeError(`the value of ${name} has a character that no field may have`);
    }
    target[at++] = code;
  }
  return at;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
