import assert from 'node:assert/strict';
import { test } from 'node:test';
import { S3Error } from '../../src/embedded/object-store/s3-error.ts';
import { authorize } from '../../src/embedded/object-store/sigv4.ts';
import type { SignedRequest } from '../../src/embedded/object-store/sigv4-claim.ts';

// The examples of "Authenticating Requests (AWS Signature Version 4)" in the S3 API reference.
const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const NOW = Date.UTC(2013, 4, 24);
const HOST = 'examplebucket.s3.amazonaws.com';
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

interface Example {
  method?: string;
  rawPath?: string;
  query?: string;
  headers?: Record<string, string>;
  signature: string;
}

function signed({ method = 'GET', rawPath = '/', query = '', headers = {}, signature }: Example): SignedRequest {
  const all: Record<string, string> = {
    host: HOST,
    'x-amz-date': '20130524T000000Z',
    'x-amz-content-sha256': EMPTY,
    ...headers,
  };
  const names = Object.keys(all).sort().join(';');
  all.authorization = `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=${names},Signature=${signature}`;
  return { method, rawPath, query: new URLSearchParams(query), headers: listed(all) };
}

function listed(headers: Record<string, string>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
}

const EXAMPLES: Record<string, Example> = {
  'GET object with a range': {
    rawPath: '/test.txt',
    headers: { range: 'bytes=0-9' },
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  'PUT object with an escaped key': {
    method: 'PUT',
    rawPath: '/test%24file.text',
    headers: {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    },
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  'GET with a parameter without value': {
    query: 'lifecycle',
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  'GET with two parameters': {
    query: 'prefix=J&max-keys=2',
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
};

const range = EXAMPLES['GET object with a range']!;

function isRefused(code: string) {
  return (error: unknown) => error instanceof S3Error && error.code === code;
}

for (const [name, example] of Object.entries(EXAMPLES)) {
  test(`accepts the published signature: ${name}`, () => {
    const { payload } = authorize(signed(example), CREDENTIALS, NOW);
    assert.equal(payload, example.headers?.['x-amz-content-sha256'] ?? EMPTY);
  });

  test(`refuses any other signature: ${name}`, () => {
    const other = `0${example.signature.slice(1)}`;
    assert.throws(
      () => authorize(signed({ ...example, signature: other }), CREDENTIALS, NOW),
      isRefused('SignatureDoesNotMatch'),
    );
  });
}

test('refuses another path, header, method, secret, key id and scope', () => {
  const request = signed(range);
  const tampered: [string, SignedRequest, Partial<typeof CREDENTIALS>?][] = [
    ['SignatureDoesNotMatch', { ...request, rawPath: '/test.tx' }],
    ['SignatureDoesNotMatch', { ...request, method: 'HEAD' }],
    ['SignatureDoesNotMatch', { ...request, headers: { ...request.headers, range: ['bytes=0-10'] } }],
    ['SignatureDoesNotMatch', { ...request, query: new URLSearchParams('versionId=1') }],
    ['SignatureDoesNotMatch', request, { secretAccessKey: 'guess' }],
    ['InvalidAccessKeyId', request, { accessKeyId: 'someone' }],
    ['SignatureDoesNotMatch', rewrite(request, '/s3/', '/ec2/')],
    ['SignatureDoesNotMatch', rewrite(request, '/20130524/', '/20130525/')],
    ['AuthorizationHeaderMalformed', rewrite(request, 'AWS4-', 'AWS5-')],
  ];
  for (const [code, changed, credentials] of tampered) {
    assert.throws(() => authorize(changed, { ...CREDENTIALS, ...credentials }, NOW), isRefused(code), code);
  }
});

function rewrite(request: SignedRequest, from: string, to: string): SignedRequest {
  const authorization = request.headers.authorization!.map((value) => value.replace(from, to));
  return { ...request, headers: { ...request.headers, authorization } };
}

test('refuses an x-amz header that is not signed, and a request without any signature', () => {
  const request = signed(range);
  const added = { ...request, headers: { ...request.headers, 'x-amz-copy-source': ['other/object'] } };
  assert.throws(() => authorize(added, CREDENTIALS, NOW), isRefused('AccessDenied'));
  const { authorization: _, ...headers } = request.headers;
  assert.throws(() => authorize({ ...request, headers }, CREDENTIALS, NOW), isRefused('AccessDenied'));
});

test('refuses what is more than 15 minutes old or early, and dates that are none', () => {
  const minute = 60_000;
  authorize(signed(range), CREDENTIALS, NOW + 15 * minute);
  assert.throws(() => authorize(signed(range), CREDENTIALS, NOW + 15 * minute + 1), isRefused('RequestTimeTooSkewed'));
  assert.throws(() => authorize(signed(range), CREDENTIALS, NOW - 15 * minute - 1), isRefused('RequestTimeTooSkewed'));
  for (const date of ['', '20130524', '20131324T000000Z', '20130524T000000']) {
    const request = signed({ ...range, headers: { 'x-amz-date': date } });
    assert.throws(() => authorize(request, CREDENTIALS, NOW), isRefused('AccessDenied'), date);
  }
});

function presigned(changes: Record<string, string> = {}): SignedRequest {
  const query = new URLSearchParams({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request',
    'X-Amz-Date': '20130524T000000Z',
    'X-Amz-Expires': '86400',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    ...changes,
  });
  return { method: 'GET', rawPath: '/test.txt', query, headers: listed({ host: HOST }) };
}

test('accepts the published presigned URL until it expires', () => {
  assert.equal(authorize(presigned(), CREDENTIALS, NOW).payload, 'UNSIGNED-PAYLOAD');
  authorize(presigned(), CREDENTIALS, NOW + 86_400_000);
  assert.throws(() => authorize(presigned(), CREDENTIALS, NOW + 86_400_001), isRefused('AccessDenied'));
  assert.throws(() => authorize(presigned(), CREDENTIALS, NOW - 16 * 60_000), isRefused('AccessDenied'));
});

test('refuses a presigned URL that was changed', () => {
  const longer = presigned({ 'X-Amz-Expires': '86401' });
  assert.throws(() => authorize(longer, CREDENTIALS, NOW), isRefused('SignatureDoesNotMatch'));
  const added = presigned({ 'response-content-type': 'text/html' });
  assert.throws(() => authorize(added, CREDENTIALS, NOW), isRefused('SignatureDoesNotMatch'));
  for (const [name, value] of [
    ['X-Amz-Expires', '604801'],
    ['X-Amz-Expires', '-1'],
    ['X-Amz-Expires', '1e3'],
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA1'],
    ['X-Amz-Credential', 'AKIAIOSFODNN7EXAMPLE'],
  ] as const) {
    const request = presigned({ [name]: value });
    assert.throws(() => authorize(request, CREDENTIALS, NOW), isRefused('AuthorizationQueryParametersError'), value);
  }
  const twice = presigned();
  twice.query.append('X-Amz-Date', '20130524T000000Z');
  assert.throws(() => authorize(twice, CREDENTIALS, NOW), isRefused('AuthorizationQueryParametersError'));
  const odd = presigned({ 'X-Amz-Signature': 'ä'.repeat(64) });
  assert.throws(() => authorize(odd, CREDENTIALS, NOW), isRefused('SignatureDoesNotMatch'));
});
