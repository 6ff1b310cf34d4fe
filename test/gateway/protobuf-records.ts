import type { DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** The wire format of a message, one entry for each field in it. */
function splitRecords(bytes: Uint8Array): { number: number; wireType: WireType; bytes: Uint8Array }[] {
  const reader = new BinaryReader(bytes);
  const records = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    reader.skip(wireType, number);
    records.push({ number, wireType, bytes: bytes.subarray(start, reader.pos) });
  }
  return records;
}

/** The same message at all depths, with the fields that `rewrite` makes of those of each message. */
export function rewriteRecords(
  message: DescMessage | undefined,
  bytes: Uint8Array,
  rewrite: (records: Uint8Array[]) => Uint8Array[],
): Uint8Array {
  const records = splitRecords(bytes).map((record) => {
    const field = message?.fields.find(({ number }) => number === record.number);
    if (record.wireType !== WireType.LengthDelimited || (!field?.message && field?.fieldKind !== 'map'))
      return record.bytes;
    const reader = new BinaryReader(record.bytes);
    reader.tag();
    const content = rewriteRecords(field.message, reader.bytes(), rewrite);
    return new BinaryWriter().tag(record.number, WireType.LengthDelimited).bytes(content).finish();
  });
  return Buffer.concat(rewrite(records));
}

/** A field that no message of ours has. */
export function unknownField(random: () => number, withGroups: boolean): Uint8Array {
  const number = 100 + Math.floor(random() * 2 ** 20);
  const writer = new BinaryWriter();
  const forms = [
    () => writer.tag(number, WireType.Varint).uint64(BigInt(Math.floor(random() * 2 ** 53)) * 1000n),
    () => writer.tag(number, WireType.Bit64).fixed64(1n),
    () => writer.tag(number, WireType.Bit32).fixed32(1),
    () => writer.tag(number, WireType.LengthDelimited).string('unknown'),
    () => writer.tag(number, WireType.StartGroup).tag(1, WireType.Varint).bool(true).tag(number, WireType.EndGroup),
  ];
  forms[Math.floor(random() * (withGroups ? 5 : 4))]!();
  return writer.finish();
}
