import { ARRAY, type JsonOutput, OBJECT } from './json-output.ts';
import { createMapKeys } from './map-keys.ts';
import { type Cursor, expectEnd, readLength, readVarint, skipTag, UNUSUAL } from './protobuf-cursor.ts';
import { writeBool, writeDouble, writeString, writeText } from './scalar-writers.ts';

/** Of a struct; deeper ones are unusual. */
const MAX_DEPTH = 32;
const COMMA = 0x2c;
const COLON = 0x3a;

// Tags: the number of a field and the wire type of its value. Of an entry in any map:
const KEY = 0x0a;
const DOUBLE_IN_ENTRY = 0x11;
const STRING_IN_ENTRY = 0x12;
const MESSAGE_IN_ENTRY = 0x12;
// Of google.protobuf.Struct, ListValue and Value:
const ENTRY = 0x0a;
const ELEMENT = 0x0a;
const NULL = 0x08;
const NUMBER = 0x11;
const STRING = 0x1a;
const BOOL = 0x20;
const STRUCT = 0x2a;
const LIST = 0x32;

export type MapWriter = ReturnType<typeof createMapWriter>;

/** Writes the entries of maps, and whole structs. An entry is a message of its own: the key, then the value. */
export function createMapWriter(cursor: Cursor, output: JsonOutput) {
  const keys = createMapKeys(cursor);

  function writeKey(map: number, entryEnd: number): void {
    output.octet(COMMA);
    const hasKey = skipTag(cursor, KEY, entryEnd);
    const keyEnd = hasKey ? readLength(cursor) : cursor.at;
    keys.add(map, cursor.at, keyEnd);
    writeText(cursor, output, keyEnd);
    output.octet(COLON);
  }

  function writeStruct(depth: number): void {
    const end = readLength(cursor);
    const opening = output.position();
    const map = keys.open();
    while (skipTag(cursor, ENTRY, end)) {
      const entryEnd = readLength(cursor);
      writeKey(map, entryEnd);
      if (skipTag(cursor, MESSAGE_IN_ENTRY, entryEnd)) writeValue(depth);
      else output.ascii('null');
      expectEnd(cursor, entryEnd);
    }
    expectEnd(cursor, end);
    keys.close(map);
    output.enclose(opening, OBJECT);
  }

  function writeList(depth: number): void {
    const end = readLength(cursor);
    const opening = output.position();
    while (skipTag(cursor, ELEMENT, end)) {
      output.octet(COMMA);
      writeValue(depth);
    }
    expectEnd(cursor, end);
    output.enclose(opening, ARRAY);
  }

  function writeValue(depth: number): void {
    const end = readLength(cursor);
    if (depth === MAX_DEPTH) throw UNUSUAL;
    if (cursor.at === end) output.ascii('null');
    else writeKind(cursor.bytes[cursor.at++]!, depth);
    expectEnd(cursor, end);
  }

  function writeNull(): void {
    readVarint(cursor);
    output.ascii('null');
  }

  function writeNumber(): void {
    if (!writeDouble(cursor, output)) output.ascii('null');
  }

  function writeKind(tag: number, depth: number): void {
    if (tag === STRING) writeString(cursor, output);
    else if (tag === NUMBER) writeNumber();
    else if (tag === BOOL) writeBool(cursor, output);
    else if (tag === STRUCT) writeStruct(depth + 1);
    else if (tag === LIST) writeList(depth + 1);
    else if (tag === NULL) writeNull();
    else throw UNUSUAL;
  }

  return {
    /** What `writeStringEntry` and `writeDoubleEntry` of a new map get, and `close` when it is complete. */
    open: keys.open,
    close: keys.close,

    writeStringEntry(map: number): void {
      const end = readLength(cursor);
      writeKey(map, end);
      if (skipTag(cursor, STRING_IN_ENTRY, end)) writeString(cursor, output);
      else output.ascii('""');
      expectEnd(cursor, end);
    },

    /** Leaves out what JSON has no number for. */
    writeDoubleEntry(map: number): void {
      const end = readLength(cursor);
      const before = output.position();
      writeKey(map, end);
      if (!skipTag(cursor, DOUBLE_IN_ENTRY, end)) output.number(0);
      else if (!writeDouble(cursor, output)) output.rewind(before);
      expectEnd(cursor, end);
    },

    /** A google.protobuf.Struct as the object that it stands for. */
    writeStruct: () => writeStruct(0),
  };
}
