import { validateHeaderValue } from 'node:http';
import type { HeaderValues } from './http.ts';
import type { ObjectInfo } from './object-file.ts';
import { S3Error } from './s3-error.ts';

/** The headers of an upload that its downloads repeat, besides x-amz-meta-* and content-encoding. */
const KEPT = ['cache-control', 'content-disposition', 'content-language', 'content-type', 'expires'];

export function readKeptHeaders(headers: HeaderValues): Record<string, string> {
  const kept: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  for (const [name, values] of Object.entries(headers)) {
    if (KEPT.includes(name) || name.startsWith('x-amz-meta-')) kept[name] = values.join(', ');
  }
  // aws-chunked is how the request was sent, not what the object is.
  const codings = (headers['content-encoding'] ?? [])
    .flatMap((value) => value.split(','))
    .map((coding) => coding.trim());
  const lasting = codings.filter((coding) => coding !== '' && coding !== 'aws-chunked');
  if (lasting.length > 0) kept['content-encoding'] = lasting.join(', ');
  return kept;
}

/** What a client needs to ask again only for changes. */
export function validatorHeaders(info: ObjectInfo): Record<string, string> {
  return { etag: info.etag, 'last-modified': new Date(info.modifiedMs).toUTCString() };
}

/** The headers of a download, with those that a query such as response-content-type=text/plain puts in their place. */
export function downloadHeaders(info: ObjectInfo, query: URLSearchParams): Record<string, string> {
  const headers: Record<string, string> = { ...info.headers, ...validatorHeaders(info), 'accept-ranges': 'bytes' };
  for (const name of [...KEPT, 'content-encoding']) {
    const value = query.get(`response-${name}`);
    if (value !== null) headers[name] = requireHeaderValue(name, value);
  }
  return headers;
}

function requireHeaderValue(name: string, value: string): string {
  try {
    validateHeaderValue(name, value);
    return value;
  } catch {
    throw new S3Error('InvalidArgument', `The parameter response-${name} cannot be a header.`);
  }
}
