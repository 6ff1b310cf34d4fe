import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeAwsChunked } from '../../src/embedded/object-store/aws-chunked.ts';
import { S3Error } from '../../src/embedded/object-store/s3-error.ts';
import { authorize } from '../../src/embedded/object-store/sigv4.ts';

/** The two examples of the S3 API reference: 65 KiB of "a" in chunks of 64 KiB, without and with trailers. */
const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};

interface Example {
  payload: string;
  headers: Record<string, string>;
  seed: string;
  chunks: [string, string, string];
  trailers?: string[];
}

const PLAIN: Example = {
  payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  headers: { 'content-length': '66824' },
  seed: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  chunks: [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ],
};

const WITH_TRAILERS: Example = {
  payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  headers: { 'x-amz-trailer': 'x-amz-checksum-crc32c' },
  seed: '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
  chunks: [
    'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
    '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
    '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
  ],
  trailers: [
    'x-amz-checksum-crc32c:sOO8/Q==',
    'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435',
  ],
};

function bodyOf({ chunks, trailers = [] }: Example): Buffer {
  const sizes = [65536, 1024, 0];
  const parts = chunks.map((signature, index) => {
    const size = sizes[index]!;
    return `${size.toString(16)};chunk-signature=${signature}\r\n${size ? `${'a'.repeat(size)}\r\n` : ''}`;
  });
  return Buffer.from(`${parts.join('')}${trailers.map((line) => `${line}\r\n`).join('')}\r\n`);
}

function signerOf({ payload, headers, seed }: Example) {
  const all: Record<string, string> = {
    host: 's3.amazonaws.com',
    'content-encoding': 'aws-chunked',
    'x-amz-content-sha256': payload,
    'x-amz-date': '20130524T000000Z',
    'x-amz-decoded-content-length': '66560',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    ...headers,
  };
  const names = Object.keys(all).sort().join(';');
  all.authorization = `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=${names},Signature=${seed}`;
  const listed = Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]]));
  const rawPath = '/examplebucket/chunkObject.txt';
  const request = { method: 'PUT', rawPath, query: new URLSearchParams(), headers: listed };
  return authorize(request, CREDENTIALS, Date.UTC(2013, 4, 24)).signNext;
}

interface Decoded {
  bytes: Buffer;
  trailers: Record<string, string>;
}

type Options = Partial<Omit<Parameters<typeof decodeAwsChunked>[1], 'onTrailer'>>;

async function decode(pieces: readonly Uint8Array[], options: Options = {}): Promise<Decoded> {
  const trailers: Record<string, string> = {};
  async function* source() {
    yield* pieces;
  }
  const bytes: Buffer[] = [];
  const onTrailer = (name: string, value: string) => {
    trailers[name] = value;
  };
  for await (const piece of decodeAwsChunked(source(), {
    signNext: undefined,
    hasTrailers: true,
    ...options,
    onTrailer,
  })) {
    bytes.push(Buffer.from(piece));
  }
  return { bytes: Buffer.concat(bytes), trailers };
}

function cut(body: Uint8Array, places: readonly number[]): Uint8Array[] {
  const edges = [0, ...places.map((place) => place % (body.length + 1)).sort((a, b) => a - b), body.length];
  return edges.slice(1).map((edge, index) => body.subarray(edges[index], edge));
}

function isRefused(code: string) {
  return (error: unknown) => error instanceof S3Error && error.code === code;
}

for (const [name, example] of Object.entries({ PLAIN, WITH_TRAILERS })) {
  const hasTrailers = example.trailers !== undefined;

  test(`accepts the published signatures of ${name}`, async () => {
    const { bytes, trailers } = await decode([bodyOf(example)], { signNext: signerOf(example), hasTrailers });
    assert.equal(bytes.toString(), 'a'.repeat(66560));
    assert.deepEqual(trailers, hasTrailers ? { 'x-amz-checksum-crc32c': 'sOO8/Q==' } : {});
  });

  test(`refuses ${name} with any byte of the content changed`, async () => {
    for (const place of [90, 65536 + 85, 65536 + 190]) {
      const body = bodyOf(example);
      assert.equal(body[place], 'a'.charCodeAt(0));
      body[place] = 'b'.charCodeAt(0);
      await assert.rejects(
        decode([body], { signNext: signerOf(example), hasTrailers }),
        isRefused('SignatureDoesNotMatch'),
      );
    }
  });

  test(`refuses ${name} when chunks are swapped, dropped or unsigned`, async () => {
    const [first, second, last] = example.chunks;
    const swapped = bodyOf({ ...example, chunks: [second, first, last] });
    const unsigned = Buffer.from(
      bodyOf(example)
        .toString()
        .replaceAll(/;chunk-signature=\w+/g, ''),
    );
    const dropped = bodyOf(example).subarray(bodyOf(example).indexOf('400;'));
    for (const body of [swapped, unsigned, dropped]) {
      await assert.rejects(
        decode([body], { signNext: signerOf(example), hasTrailers }),
        isRefused('SignatureDoesNotMatch'),
      );
    }
  });
}

test('refuses signed trailers that were changed or left out', async () => {
  const [checksum, signature] = WITH_TRAILERS.trailers as [string, string];
  for (const trailers of [['x-amz-checksum-crc32c:AAAAAA==', signature], [checksum], [signature], []]) {
    const body = bodyOf({ ...WITH_TRAILERS, trailers });
    const signNext = signerOf(WITH_TRAILERS);
    await assert.rejects(decode([body], { signNext, hasTrailers: true }), isRefused('SignatureDoesNotMatch'));
  }
});

test('refuses trailers that nobody announced', async () => {
  const body = Buffer.from('0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n');
  await assert.rejects(decode([body], { hasTrailers: false }), isRefused('MalformedTrailerError'));
});

const chunked = fc
  .record({
    chunks: fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 5 }),
    trailer: fc.constantFrom('', 'x-amz-checksum-crc32: AAAAAA==\r\n'),
    end: fc.constantFrom('\r\n', ''),
  })
  .map(({ chunks, trailer, end }) => {
    const framed = chunks.flatMap((chunk) => [
      Buffer.from(`${chunk.length.toString(16)}\r\n`),
      chunk,
      Buffer.from('\r\n'),
    ]);
    return {
      content: Buffer.concat(chunks),
      trailer,
      body: Buffer.concat([...framed, Buffer.from(`0\r\n${trailer}${end}`)]),
    };
  });

test('decodes the same however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(chunked, fc.array(fc.nat(2000), { maxLength: 30 }), async ({ content, trailer, body }, places) => {
      const { bytes, trailers } = await decode(cut(body, places));
      assert.deepEqual(bytes, content);
      assert.deepEqual(trailers, trailer ? { 'x-amz-checksum-crc32': 'AAAAAA==' } : {});
    }),
    { numRuns: 200 },
  );
});

test('decodes signed chunks the same however the bytes are cut', async () => {
  const body = bodyOf(WITH_TRAILERS);
  const places = fc.array(fc.nat(body.length), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(places, async (edges) => {
      const { bytes } = await decode(cut(body, edges), { signNext: signerOf(WITH_TRAILERS), hasTrailers: true });
      assert.equal(bytes.length, 66560);
    }),
    { numRuns: 30 },
  );
});

test('refuses a body that ends too early', async () => {
  const body = Buffer.from('5\r\nhello\r\n0\r\n');
  for (let length = 0; length < body.length; length += 1) {
    await assert.rejects(decode([body.subarray(0, length)]), isRefused('IncompleteBody'), `${length} bytes`);
  }
  assert.equal((await decode([body])).bytes.toString(), 'hello');
});

test('refuses what is not in the format', async () => {
  const tooLong = `${'0'.repeat(5000)}\r\n`;
  for (const body of [
    'hello',
    'zz\r\n',
    '-1\r\n',
    '5\r\nhelloo\r\n0\r\n\r\n',
    '0\r\n\r\nmore',
    tooLong,
    ' 0\r\n\r\n',
  ]) {
    await assert.rejects(decode([Buffer.from(body)]), isRefused('IncompleteBody'), body.slice(0, 20));
  }
});
