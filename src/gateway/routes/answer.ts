import { hash } from 'node:crypto';
import type { Answer } from '../context.ts';
import { matchesEntityTag } from '../wire/entity-tags.ts';

export const JSON_TYPE = { 'Content-Type': 'application/json' } as const;

/** A JSON answer. BigInts must have become exact integers in `wire`; `undefined` members are left out. */
export function answerJson(value: unknown, status = 200): Answer {
  return answerText(JSON.stringify(value), status, JSON_TYPE);
}

/** With its length said, so that HEAD can say it too. */
export function answerText(body: string | Buffer, status: number, headers: Readonly<Record<string, string>>): Answer {
  return { status, headers: { ...headers, 'Content-Length': String(Buffer.byteLength(body)) }, body };
}

/**
 * A workflow read, as JSON: the client alone may keep it, and only if it asks each time. It is then answered with 304 while
 * `ifNoneMatch` names what the answer would be (RFC 9110, section 13.1.2).
 */
export function answerRead(
  body: Buffer,
  ifNoneMatch: string | undefined,
  headers?: Readonly<Record<string, string>>,
): Answer {
  const etag = `"${hash('sha256', body, 'base64url')}"`;
  const validators = { ...headers, ETag: etag, 'Cache-Control': 'private, no-cache' };
  if (matchesEntityTag(ifNoneMatch, etag)) return { status: 304, headers: validators };
  return answerText(body, 200, { ...JSON_TYPE, ...validators });
}
