import { type DescEnum, type DescField, ScalarType } from '@bufbuild/protobuf';
import { FeatureSet_FieldPresence, StructSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { WORDS } from './contract-mapping.ts';
import { BIT32, BIT64, LENGTH_DELIMITED, VARINT } from './protobuf-cursor.ts';

/** What becomes of the bytes of a field. Numbers, as it is looked at for each field of each message. */
export const KIND = {
  string: 0,
  uint32: 1,
  uint64: 2,
  bool: 3,
  /** An enum as the contract's word. */
  word: 4,
  /** Seven digits; 0 for what JSON has no number for. */
  float: 5,
  /** Left out where JSON has no number for it. */
  double: 6,
  timestamp: 7,
  struct: 8,
  object: 9,
  stringMap: 10,
  doubleMap: 11,
} as const;

type Kind = (typeof KIND)[keyof typeof KIND];

/** How to get from the bytes of a message to its JSON. No type contains itself, so one array of positions is enough. */
export interface MessagePlan {
  readonly fields: FieldsByNumber;
  readonly positions: Int32Array;
  /** The members of the object, in their order. */
  readonly members: readonly FieldPlan[];
}

export type FieldsByNumber = readonly (FieldPlan | undefined)[];

export interface FieldPlan {
  readonly number: number;
  readonly kind: Kind;
  readonly wireType: number;
  readonly isRepeated: boolean;
  /** In `positions`. */
  readonly slot: number;
  /** `,"name":` */
  readonly key: Uint8Array;
  /** With the key; empty when it is left out. */
  readonly whenUnset: Uint8Array;
  readonly isOmittedWhenEmpty: boolean;
  /** Of the message in an `object`. */
  readonly object: MessagePlan | undefined;
  /** The fields of the message in it, when they are members of the object around it and have slots there. */
  readonly flattened: FieldsByNumber | undefined;
  /** JSON strings by the value of the enum; the last is for values that are not among them. */
  readonly words: readonly Uint8Array[];
}

type Place = Pick<FieldPlan, 'slot' | 'isOmittedWhenEmpty' | 'object' | 'flattened'>;

/** What the type of a field says of its JSON. Throws for a type whose JSON is not known. */
export function planField(field: DescField, isEmptyWhenUnset: boolean, place: Place): FieldPlan {
  const kind = kindOf(field);
  const key = `,"${field.name}":`;
  const words = field.enum ? wordsOf(field.enum) : [];
  const unset = isEmptyWhenUnset ? '{}' : field.fieldKind === 'list' ? '[]' : (UNSET[kind] ?? words[0] ?? '');
  return {
    ...place,
    number: field.number,
    kind,
    wireType: WIRE_TYPES[kind] ?? LENGTH_DELIMITED,
    isRepeated: field.fieldKind === 'list' || field.fieldKind === 'map',
    key: Buffer.from(key),
    whenUnset: Buffer.from(unset === '' || place.isOmittedWhenEmpty ? '' : key + unset),
    words: words.map((word) => Buffer.from(word)),
  };
}

const WIRE_TYPES: Partial<Record<Kind, number>> = {
  [KIND.uint32]: VARINT,
  [KIND.uint64]: VARINT,
  [KIND.bool]: VARINT,
  [KIND.word]: VARINT,
  [KIND.float]: BIT32,
  [KIND.double]: BIT64,
};

const UNSET: Partial<Record<Kind, string>> = {
  [KIND.string]: '""',
  [KIND.uint32]: '0',
  [KIND.uint64]: '0',
  [KIND.bool]: 'false',
  [KIND.float]: '0',
  [KIND.double]: '0',
  [KIND.stringMap]: '{}',
  [KIND.doubleMap]: '{}',
};

const SCALARS: Partial<Record<ScalarType, Kind>> = {
  [ScalarType.STRING]: KIND.string,
  [ScalarType.UINT32]: KIND.uint32,
  [ScalarType.UINT64]: KIND.uint64,
  [ScalarType.BOOL]: KIND.bool,
  [ScalarType.FLOAT]: KIND.float,
  [ScalarType.DOUBLE]: KIND.double,
};

const MAPS: Partial<Record<ScalarType, Kind>> = {
  [ScalarType.STRING]: KIND.stringMap,
  [ScalarType.DOUBLE]: KIND.doubleMap,
};

const MESSAGES: Readonly<Record<string, Kind>> = {
  [TimestampSchema.typeName]: KIND.timestamp,
  [StructSchema.typeName]: KIND.struct,
};

export function kindOf(field: DescField): Kind {
  const kind = field.oneof ? undefined : kindOfType(field);
  if (kind === undefined) throw new Error(`${field} is of a type whose JSON is not known`);
  return kind;
}

function kindOfType(field: DescField): Kind | undefined {
  const isImplicit = field.presence === FeatureSet_FieldPresence.IMPLICIT;
  switch (field.fieldKind) {
    case 'scalar':
      return isImplicit ? SCALARS[field.scalar] : undefined;
    case 'enum':
      return isImplicit ? KIND.word : undefined;
    case 'message':
      return field.delimitedEncoding ? undefined : (MESSAGES[field.message.typeName] ?? KIND.object);
    case 'list':
      if (field.listKind === 'scalar') return field.scalar === ScalarType.STRING ? KIND.string : undefined;
      return field.message && !MESSAGES[field.message.typeName] ? KIND.object : undefined;
    case 'map':
      return field.mapKey === ScalarType.STRING && field.mapKind === 'scalar' ? MAPS[field.scalar] : undefined;
  }
}

/** In a dense array, as proto3 numbers its enums from 0. */
function wordsOf({ typeName, values }: DescEnum): string[] {
  const wordOf = WORDS.get(typeName);
  if (!wordOf) throw new Error(`${typeName} has no words`);
  const length = 1 + Math.max(...values.map(({ number }) => number));
  return Array.from({ length: length + 1 }, (_, number) => JSON.stringify(wordOf(number)));
}
