import { type FieldPlan, KIND, type MessagePlan } from './field-plan.ts';
import { ARRAY, type JsonOutput, OBJECT } from './json-output.ts';
import { locateFields } from './locate-fields.ts';
import { createMapWriter } from './map-writer.ts';
import { type Cursor, readLength, readUint32, readVarint, skipValue } from './protobuf-cursor.ts';
import { writeBool, writeDouble, writeFloat, writeString, writeText, writeTimestamp } from './scalar-writers.ts';

const COMMA = 0x2c;

/**
 * Writes the message from the cursor to `end` as an object, after forgetting all that was written before. Throws UNUSUAL.
 *
 * The fields of a message may come in any order, and the members of an object have one. So each message is gone through
 * twice: once to see where its fields are, and once member by member.
 */
export function createMessageWriter(cursor: Cursor, output: JsonOutput): (plan: MessagePlan, end: number) => void {
  const maps = createMapWriter(cursor, output);

  function writeMessage(plan: MessagePlan, end: number): void {
    const { positions } = plan;
    locateFields(cursor, plan, end);
    const opening = output.position();
    for (const member of plan.members) {
      cursor.at = positions[member.slot]!;
      if (cursor.at === 0) output.constant(member.whenUnset);
      else if (member.isRepeated) writeRepeated(member, positions[member.slot + 1]!);
      else writeSingle(member);
    }
    output.enclose(opening, OBJECT);
    cursor.at = end;
  }

  function writeSingle(member: FieldPlan): void {
    const before = output.position();
    output.constant(member.key);
    if (!writeValue(member)) output.rewind(before);
  }

  /** False when JSON has no form for the value, or the contract leaves it out. */
  function writeValue({ kind, isOmittedWhenEmpty, words, object }: FieldPlan): boolean {
    switch (kind) {
      case KIND.string: {
        const end = readLength(cursor);
        if (isOmittedWhenEmpty && cursor.at === end) return false;
        writeText(cursor, output, end);
        return true;
      }
      case KIND.uint32: {
        const value = readUint32(cursor);
        if (isOmittedWhenEmpty && value === 0) return false;
        output.number(value);
        return true;
      }
      case KIND.uint64:
        output.number(readVarint(cursor));
        return true;
      case KIND.bool:
        writeBool(cursor, output);
        return true;
      case KIND.word:
        output.constant(words[readUint32(cursor)] ?? words.at(-1)!);
        return true;
      case KIND.float:
        writeFloat(cursor, output);
        return true;
      case KIND.double:
        return writeDouble(cursor, output);
      case KIND.timestamp:
        writeTimestamp(cursor, output);
        return true;
      case KIND.struct:
        maps.writeStruct();
        return true;
      case KIND.object:
        writeMessage(object!, readLength(cursor));
        return true;
      default:
        throw new TypeError('maps are repeated');
    }
  }

  /** So many values, of which the first is at the cursor. */
  function writeRepeated(member: FieldPlan, count: number): void {
    output.constant(member.key);
    const opening = output.position();
    const isMap = member.kind === KIND.stringMap || member.kind === KIND.doubleMap;
    const map = maps.open();
    for (let left = count; left > 0; left -= 1) {
      if (left < count) findNext(member.number);
      writeElement(member, map);
    }
    maps.close(map);
    output.enclose(opening, isMap ? OBJECT : ARRAY);
  }

  function writeElement({ kind, object }: FieldPlan, map: number): void {
    if (kind === KIND.stringMap) {
      maps.writeStringEntry(map);
    } else if (kind === KIND.doubleMap) {
      maps.writeDoubleEntry(map);
    } else {
      output.octet(COMMA);
      if (object) writeMessage(object, readLength(cursor));
      else writeString(cursor, output);
    }
  }

  function findNext(fieldNumber: number): void {
    for (let tag = readUint32(cursor); tag >>> 3 !== fieldNumber; tag = readUint32(cursor)) skipValue(cursor, tag & 7);
  }

  return (plan, end) => {
    output.rewind(0);
    maps.close(0);
    writeMessage(plan, end);
  };
}
