import type { FieldsByNumber } from './field-plan.ts';
import { type Cursor, expectEnd, readLength, readUint32, skipValue, UNUSUAL } from './protobuf-cursor.ts';

/** The fields of a message type, and where those of the message that is being read are. */
export interface Places {
  readonly fields: FieldsByNumber;
  /** By the slot of a field: behind its first tag, or 0 when it is unset; and in the next slot, how often it is set. */
  readonly positions: Int32Array;
}

/** Goes through the message from the cursor to `end` to see where its fields are. Unknown ones are skipped. */
export function locateFields(cursor: Cursor, { fields, positions }: Places, end: number): void {
  for (let slot = 0; slot < positions.length; slot += 1) positions[slot] = 0;
  locate(cursor, fields, positions, end);
}

function locate(cursor: Cursor, fields: FieldsByNumber, positions: Int32Array, end: number): void {
  while (cursor.at < end) {
    const tag = readUint32(cursor);
    const field = fields[tag >>> 3];
    if (field === undefined) {
      if (tag < 8) throw UNUSUAL;
      skipValue(cursor, tag & 7);
      continue;
    }
    const count = positions[field.slot + 1]!;
    if (field.wireType !== (tag & 7) || (count > 0 && !field.isRepeated)) throw UNUSUAL;
    if (count === 0) positions[field.slot] = cursor.at;
    positions[field.slot + 1] = count + 1;
    if (field.flattened) locate(cursor, field.flattened, positions, readLength(cursor));
    else skipValue(cursor, field.wireType);
  }
  expectEnd(cursor, end);
}
