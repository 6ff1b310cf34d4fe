import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNotModified, requireWritable } from '../../src/embedded/object-store/conditions.ts';
import { S3Error } from '../../src/embedded/object-store/s3-error.ts';

const FOUND = { etag: '"abc"', modifiedMs: Date.UTC(2026, 0, 1, 12, 0, 0, 500) };
const SAME = 'Thu, 01 Jan 2026 12:00:00 GMT';
const EARLIER = 'Thu, 01 Jan 2026 11:59:59 GMT';
const LATER = 'Thu, 01 Jan 2026 12:00:01 GMT';

type Headers = Record<string, string>;

function outcome(headers: Headers): number {
  try {
    return isNotModified((name) => headers[name], FOUND) ? 304 : 200;
  } catch (error) {
    assert(error instanceof S3Error);
    return error.status;
  }
}

const READS: [number, Headers][] = [
  [200, {}],
  [200, { 'if-match': '"abc"' }],
  [200, { 'if-match': 'abc' }],
  [200, { 'if-match': '"x", "abc"' }],
  [200, { 'if-match': '*' }],
  [412, { 'if-match': '"x"' }],
  [412, { 'if-match': 'W/"abc"' }],
  [304, { 'if-none-match': '"abc"' }],
  [304, { 'if-none-match': '"x", W/"abc"' }],
  [304, { 'if-none-match': '*' }],
  [200, { 'if-none-match': '"x"' }],
  [304, { 'if-modified-since': SAME }],
  [304, { 'if-modified-since': LATER }],
  [200, { 'if-modified-since': EARLIER }],
  [200, { 'if-modified-since': 'yesterday' }],
  [200, { 'if-unmodified-since': SAME }],
  [412, { 'if-unmodified-since': EARLIER }],
  [200, { 'if-match': '"abc"', 'if-unmodified-since': EARLIER }],
  [200, { 'if-none-match': '"x"', 'if-modified-since': LATER }],
  [412, { 'if-match': '"x"', 'if-none-match': '"abc"' }],
];

for (const [status, headers] of READS) {
  test(`a read with ${JSON.stringify(headers)} is answered with ${status}`, () => {
    assert.equal(outcome(headers), status);
  });
}

const WRITES: [string | undefined, Headers, boolean][] = [
  [undefined, {}, true],
  [undefined, { 'if-none-match': '*' }, false],
  ['PreconditionFailed', { 'if-none-match': '*' }, true],
  ['NotImplemented', { 'if-none-match': '"abc"' }, true],
  [undefined, { 'if-match': '"abc"' }, true],
  ['PreconditionFailed', { 'if-match': '"x"' }, true],
  ['NoSuchKey', { 'if-match': '"abc"' }, false],
];

for (const [code, headers, exists] of WRITES) {
  test(`a write with ${JSON.stringify(headers)} over ${exists ? 'an' : 'no'} object: ${code ?? 'allowed'}`, () => {
    const write = () => requireWritable((name) => headers[name], exists ? FOUND : undefined);
    if (code) assert.throws(write, { code });
    else write();
  });
}
