import type { DescMethod } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { encodedLength, encodeFields, writeField } from '../http2/hpack/encoder.ts';

/** The largest number that grpc-timeout has room for: 8 digits. */
const MAX_TIMEOUT = 99_999_999;

const TIMEOUT_FIELD = 'grpc-timeout';

type Metadata = Parameters<Transport['unary']>[3];

/**
 * Makes the header blocks of calls to an endpoint (gRPC over HTTP/2, "Requests"). What is the same for each call of a method
 * is encoded once. Without `authority` it is left to whoever knows where a call goes.
 */
export function createRequestHeaders(endpoint: URL, authority: string | undefined) {
  const prefixes = new WeakMap<DescMethod, Buffer>();
  const basePath = endpoint.pathname.replace(/\/$/, '');

  function prefixOf(method: DescMethod): Buffer {
    let prefix = prefixes.get(method);
    if (!prefix) {
      prefix = encodeFields([
        [':method', 'POST'],
        [':scheme', endpoint.protocol.slice(0, -1)],
        [':path', `${basePath}/${method.parent.typeName}/${method.name}`],
        ...(authority === undefined ? [] : [[':authority', authority] as const]),
        ['content-type', 'application/grpc+proto'],
        ['te', 'trailers'],
        ['user-agent', 'foldforge-gateway'],
      ]);
      prefixes.set(method, prefix);
    }
    return prefix;
  }

  return {
    /** Throws a TypeError for metadata that no header can carry. `timeoutMs` undefined: without a deadline. */
    encode(method: DescMethod, timeoutMs: number | undefined, metadata: Metadata): Buffer {
      const prefix = prefixOf(method);
      const fields = listFields(metadata);
      // Last, for withTimeLeft.
      if (timeoutMs !== undefined) fields.push(TIMEOUT_FIELD, formatTimeout(timeoutMs));
      let length = prefix.length;
      for (let at = 0; at < fields.length; at += 2) length += encodedLength(fields[at]!, fields[at + 1]!);
      const block = Buffer.allocUnsafe(length);
      let end = prefix.copy(block);
      for (let at = 0; at < fields.length; at += 2) end = writeField(block, end, fields[at]!, fields[at + 1]!);
      return block;
    },
  };
}

/** The same block, whose last field is a `grpc-timeout` of `timeoutMs`, with `timeLeftMs` in its place. */
export function withTimeLeft(block: Buffer, timeoutMs: number, timeLeftMs: number): Buffer {
  const before = block.length - encodedLength(TIMEOUT_FIELD, formatTimeout(timeoutMs));
  return Buffer.concat([block.subarray(0, before), encodeFields([[TIMEOUT_FIELD, formatTimeout(timeLeftMs)]])]);
}

/** Names and values in turn. An object is taken as it is, with its names in lower case: to make Headers of it costs more. */
function listFields(metadata: Metadata): string[] {
  if (metadata === undefined) return [];
  if (metadata instanceof Headers || Array.isArray(metadata)) return [...new Headers(metadata)].flat();
  const fields: string[] = [];
  for (const name in metadata) fields.push(name.toLowerCase(), metadata[name]!);
  return fields;
}

function formatTimeout(timeoutMs: number): string {
  const milliseconds = Math.ceil(timeoutMs);
  if (milliseconds <= MAX_TIMEOUT) return `${milliseconds}m`;
  return `${Math.min(MAX_TIMEOUT, Math.ceil(timeoutMs / 1000))}S`;
}
