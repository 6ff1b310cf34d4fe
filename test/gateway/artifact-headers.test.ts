import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { contentDisposition } from '../../src/gateway/wire/artifact-key.ts';
import { artifactHeaders, findArtifact } from '../../src/gateway/wire/artifact-record.ts';
import { WorkflowSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

/** Any text that protobuf can carry, with what is special in a header more often than chance has it. */
const text = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...`\r\n\0"\\'%;*=/ é🧬\u202e`),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
  })
  .filter((value) => value.isWellFormed());

function headersOf(key: string, fields: { contentType?: string; sha256?: string; finishedAtSeconds?: bigint } = {}) {
  const { contentType = '', sha256 = '', finishedAtSeconds } = fields;
  const finishedAt = finishedAtSeconds === undefined ? {} : { finishedAt: { seconds: finishedAtSeconds, nanos: 0 } };
  const outputs = [{ uri: `r2://b/${key}`, sizeBytes: 10n, contentType, sha256 }];
  const workflow = create(WorkflowSchema, { stepStatuses: [{ stepId: 'a', outputs, ...finishedAt }] });
  return artifactHeaders(findArtifact(workflow, 'b', key)!, undefined);
}

describe('headers of artifacts', () => {
  it('name the file so that old and new readers get it', () => {
    fc.assert(
      fc.property(text, text, (folder, name) => {
        fc.pre(!name.includes('/'));
        const header = contentDisposition(`${folder}/${name}`);
        // RFC 9110, section 5.6.4 without escapes, and RFC 8187, section 3.2.1.
        const form =
          /^attachment; filename="([\x20\x21\x23-\x5b\x5d-\x7e]*)"; filename\*=UTF-8''((?:[\w!#$&+.^`|~-]|%[\dA-F]{2})*)$/;
        const [, plain, encoded] = form.exec(header) ?? assert.fail(header);
        assert.equal(decodeURIComponent(encoded!), name);
        assert.doesNotMatch(plain!, /%/, 'old readers decode it');
        if (/^[\w .-]*$/.test(name)) assert.equal(plain, name);
      }),
      { numRuns: 1_000 },
    );
  });

  it('are headers, whatever was recorded', () => {
    fc.assert(
      fc.property(
        text,
        text,
        text,
        fc.bigInt({ min: -(10n ** 13n), max: 10n ** 13n }),
        (key, contentType, sha256, finishedAtSeconds) => {
          for (const [name, value] of Object.entries(headersOf(key, { contentType, sha256, finishedAtSeconds }))) {
            assert.match(value, /^[\x20-\x7e]+$/, name);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('keep a media type with its parameters, and nothing else', () => {
    for (const good of ['chemical/x-pdb', 'text/plain; charset=utf-8', 'application/vnd.a+json;v=1', 'image/svg+xml']) {
      assert.equal(headersOf('k', { contentType: good })['Content-Type'], good);
    }
    for (const bad of [
      '',
      'text',
      'text/',
      'text/html\r\nX: y',
      'text/html, a/b',
      'text/html; x',
      'é/é',
      'a/b; c="d"',
    ]) {
      assert.equal(headersOf('k', { contentType: bad })['Content-Type'], 'application/octet-stream', bad);
    }
  });

  it('let a browser neither guess, run nor share what it got', () => {
    for (const contentType of ['text/html', 'image/svg+xml']) {
      const headers = headersOf('k', { contentType });
      assert.equal(headers['X-Content-Type-Options'], 'nosniff');
      assert.equal(headers['Content-Security-Policy'], 'sandbox');
      assert.match(headers['Content-Disposition']!, /^attachment;/);
      assert.equal(headers.Vary, 'Authorization, Origin');
    }
  });

  it('promise that a file does not change only when its SHA-256 was recorded', () => {
    const known = headersOf('k', { sha256: '0'.repeat(63).concat('1'), finishedAtSeconds: 784_111_777n });
    assert.equal(known.ETag, `"${'0'.repeat(63)}1"`);
    assert.equal(known['Repr-Digest'], `sha-256=:${'A'.repeat(42)}E=:`);
    assert.equal(known['Cache-Control'], 'private, max-age=300, immutable');
    assert.equal(known['Last-Modified'], 'Sun, 06 Nov 1994 08:49:37 GMT');
    for (const sha256 of ['', 'x'.repeat(64), 'A'.repeat(64), 'a'.repeat(63), `${'a'.repeat(64)}\n`]) {
      const headers = headersOf('k', { sha256 });
      assert.equal(headers['Cache-Control'], 'private, no-cache', sha256);
      for (const name of ['ETag', 'Repr-Digest', 'Last-Modified']) assert.equal(name in headers, false, name);
    }
  });
});
