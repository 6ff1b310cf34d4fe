import { createHash } from 'node:crypto';
import { S3Error } from './s3-error.ts';
import { type Authorized, isSame } from './sigv4.ts';

/** A line is a chunk's size and signature, or one trailer. */
const MAX_LINE_BYTES = 4096;
const MAX_TRAILERS = 20;

export interface AwsChunkedOptions {
  /** Given for the STREAMING-AWS4-HMAC-SHA256-PAYLOAD forms: every chunk and the trailers must then be signed. */
  readonly signNext: Authorized['signNext'] | undefined;
  /** Whether trailers follow the last chunk. */
  readonly hasTrailers: boolean;
  /** Called with each trailer, its name in lower case, before the bytes end. */
  readonly onTrailer: (name: string, value: string) => void;
}

/**
 * Yields the bytes inside an aws-chunked body. Follows "Transferring Payload in Multiple Chunks" and "… with trailing
 * headers" of the S3 API reference. Bytes of a signed chunk come out before its signature is checked: trust them only when
 * the generator has ended. Throws S3Error.
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Uint8Array>,
  { signNext, hasTrailers, onTrailer }: AwsChunkedOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const input = createReader(source);
  for (;;) {
    const { sizeBytes, signature } = readChunkHeader(await input.line());
    const hash = createHash('sha256');
    for await (const piece of input.bytes(sizeBytes)) {
      if (signNext) hash.update(piece);
      yield piece;
    }
    if (signNext) requireSignature(signature, signNext('PAYLOAD', hash.digest('hex')));
    if (sizeBytes === 0) break;
    if ((await input.line()) !== '') throw incomplete();
  }
  await readTrailers(input, { signNext: hasTrailers ? signNext : undefined, hasTrailers, onTrailer });
  if (!(await input.isAtEnd())) throw incomplete();
}

async function readTrailers(input: Reader, { signNext, hasTrailers, onTrailer }: AwsChunkedOptions): Promise<void> {
  const signed = createHash('sha256');
  let signature: string | undefined;
  for (let count = 0; ; count += 1) {
    // The empty line that ends the body is missing from what some clients send.
    const line = (await input.isAtEnd()) ? '' : await input.line();
    if (line === '') break;
    const match = /^([\w-]+):(.*)$/.exec(line);
    if (!hasTrailers || !match || count === MAX_TRAILERS) {
      throw new S3Error('MalformedTrailerError', 'The request has malformed or unannounced trailing headers.');
    }
    const [name, value] = [match[1]!.toLowerCase(), match[2]!.trim()];
    if (name === 'x-amz-trailer-signature') signature = value;
    else {
      signed.update(`${name}:${value}\n`);
      onTrailer(name, value);
    }
  }
  if (signNext) requireSignature(signature, signNext('TRAILER', signed.digest('hex')));
}

function readChunkHeader(line: string): { sizeBytes: number; signature: string | undefined } {
  const match = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  if (!match) throw incomplete();
  return { sizeBytes: Number.parseInt(match[1]!, 16), signature: match[2] };
}

function requireSignature(given: string | undefined, expected: string): void {
  if (given !== undefined && isSame(given, expected)) return;
  throw new S3Error('SignatureDoesNotMatch', 'The signature of a chunk or of the trailers does not match.');
}

function incomplete(): S3Error {
  return new S3Error('IncompleteBody', 'The body is not whole, or not in the aws-chunked format.');
}

interface Reader {
  /** The next line without its CRLF. */
  line(): Promise<string>;
  /** The next `count` bytes, in the pieces they came in. */
  bytes(count: number): AsyncGenerator<Buffer, void, undefined>;
  isAtEnd(): Promise<boolean>;
}

/** Reads lines and counted bytes from pieces of any size, and never holds more than a piece and a line. */
function createReader(source: AsyncIterable<Uint8Array>): Reader {
  const pieces = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let ended = false;

  async function fill(): Promise<Buffer> {
    const { value, done } = await pieces.next();
    if (done) ended = true;
    return done ? Buffer.alloc(0) : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }

  return {
    async line() {
      for (;;) {
        const end = rest.indexOf('\r\n');
        if (end > MAX_LINE_BYTES || (end < 0 && (ended || rest.length > MAX_LINE_BYTES))) throw incomplete();
        if (end >= 0) {
          const line = rest.toString('latin1', 0, end);
          rest = rest.subarray(end + 2);
          return line;
        }
        rest = Buffer.concat([rest, await fill()]);
      }
    },
    async *bytes(count) {
      let missing = count;
      while (missing > 0) {
        if (rest.length === 0) {
          if (ended) throw incomplete();
          rest = await fill();
          continue;
        }
        const piece = rest.subarray(0, missing);
        rest = rest.subarray(piece.length);
        missing -= piece.length;
        yield piece;
      }
    },
    async isAtEnd() {
      while (rest.length === 0 && !ended) rest = await fill();
      return rest.length === 0;
    },
  };
}
