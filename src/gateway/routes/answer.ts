import { hash } from 'node:crypto';
import { matchesEntityTag } from '../wire/entity-tags.ts';

/** A JSON answer. BigInts must have become exact integers in `wire`; `undefined` members are left out. */
export function answerJson(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return answerText(JSON.stringify(value), { 'Content-Type': 'application/json', ...headers }, status);
}

/** With its length said, so that HEAD can say it too. */
export function answerText(body: string, headers: Readonly<Record<string, string>>, status = 200): Response {
  return new Response(body, { status, headers: { ...headers, 'Content-Length': String(Buffer.byteLength(body)) } });
}

/**
 * A workflow read: the client alone may keep it, and only if it asks each time. It is then answered with 304 while
 * `ifNoneMatch` names what the answer would be (RFC 9110, section 13.1.2).
 */
export function answerRead(
  value: unknown,
  ifNoneMatch: string | undefined,
  headers?: Record<string, string>,
): Response {
  const body = JSON.stringify(value);
  const etag = `"${hash('sha256', body, 'base64url')}"`;
  const validators = { ...headers, ETag: etag, 'Cache-Control': 'private, no-cache' };
  if (matchesEntityTag(ifNoneMatch, etag)) return new Response(null, { status: 304, headers: validators });
  return answerText(body, { 'Content-Type': 'application/json', ...validators });
}
