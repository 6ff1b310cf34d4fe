import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { ReceivedSpan } from './otlp-collector.ts';

/** A protobuf message by the numbers of its fields. */
type Fields = ReadonlyMap<number, readonly (Uint8Array | bigint)[]>;

const KINDS = ['other', 'INTERNAL', 'SERVER', 'CLIENT'] as const;
const STATUS_ERROR = 2;

/** The spans of an ExportTraceServiceRequest (opentelemetry/proto/trace/v1/trace.proto), of what tests look at. */
export function readProtobufSpans(bytes: Uint8Array): ReceivedSpan[] {
  return messages(readFields(bytes), 1).flatMap((resourceSpans) => {
    const [resource] = messages(resourceSpans, 1);
    const attributes = attributesOf(messages(resource!, 1));
    const spans = messages(resourceSpans, 2).flatMap((scopeSpans) => messages(scopeSpans, 2));
    return spans.map((span) => {
      const [status] = messages(span, 15);
      return {
        service: String(attributes['service.name']),
        resource: attributes,
        traceId: hex(span, 1),
        spanId: hex(span, 2),
        parentSpanId: hex(span, 4),
        traceState: text(span, 3),
        name: text(span, 5),
        kind: KINDS[Number(span.get(6)?.[0] ?? 0)] ?? 'other',
        attributes: attributesOf(messages(span, 9)),
        isError: Number(status?.get(3)?.[0] ?? 0) === STATUS_ERROR,
        durationMs: Number((span.get(8)![0] as bigint) - (span.get(7)![0] as bigint)) / 1e6,
      };
    });
  });
}

interface JsonValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: number | string;
  readonly doubleValue?: number;
}
type JsonAttributes = readonly { readonly key: string; readonly value: JsonValue }[];
interface JsonSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: JsonAttributes;
  readonly status: { readonly code?: number };
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}
interface JsonRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: JsonAttributes };
    readonly scopeSpans: readonly { readonly spans: readonly JsonSpan[] }[];
  }[];
}

/** The same of its JSON. */
export function readJsonSpans(json: string): ReceivedSpan[] {
  return (JSON.parse(json) as JsonRequest).resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const attributes = fromJson(resource.attributes);
    return scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        service: String(attributes['service.name']),
        resource: attributes,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        traceState: span.traceState ?? '',
        name: span.name,
        kind: KINDS[span.kind] ?? 'other',
        attributes: fromJson(span.attributes),
        isError: span.status.code === STATUS_ERROR,
        durationMs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
      }));
  });
}

function fromJson(attributes: JsonAttributes): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ??
        value.boolValue ??
        value.doubleValue ??
        (value.intValue === undefined ? value : Number(value.intValue)),
    ]),
  );
}

function attributesOf(pairs: readonly Fields[]): Record<string, unknown> {
  return Object.fromEntries(pairs.map((pair) => [text(pair, 1), anyValue(messages(pair, 2)[0]!)]));
}

/** AnyValue: a text, a boolean, a whole number, a double, or something else. */
function anyValue(any: Fields): unknown {
  if (any.has(1)) return text(any, 1);
  if (any.has(2)) return any.get(2)![0] === 1n;
  if (any.has(3)) return Number(any.get(3)![0]);
  if (any.has(4)) return new Float64Array(new BigUint64Array([any.get(4)![0] as bigint]).buffer)[0];
  return any;
}

function readFields(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, (Uint8Array | bigint)[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const value = readValue(reader, type);
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

function readValue(reader: BinaryReader, type: WireType): Uint8Array | bigint {
  if (type === WireType.LengthDelimited) return reader.bytes();
  if (type === WireType.Varint) return BigInt(reader.uint64());
  if (type === WireType.Bit64) return BigInt(reader.fixed64());
  if (type === WireType.Bit32) return BigInt(reader.fixed32());
  throw new Error(`a field of OTLP has the wire type ${type}`);
}

const messages = (fields: Fields, number: number) =>
  (fields.get(number) ?? []).map((bytes) => readFields(bytes as Uint8Array));
const text = (fields: Fields, number: number) =>
  Buffer.from((fields.get(number)?.[0] as Uint8Array) ?? []).toString('utf8');
const hex = (fields: Fields, number: number) =>
  Buffer.from((fields.get(number)?.[0] as Uint8Array) ?? []).toString('hex');
