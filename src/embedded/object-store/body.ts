import { decodeAwsChunked } from './aws-chunked.ts';
import { createDigests, type Verified } from './digests.ts';
import type { ReadHeader } from './http.ts';
import { S3Error } from './s3-error.ts';
import type { Authorized } from './sigv4.ts';

/** The body of a request. When its bytes have ended without throwing, they are what the client meant to send. */
export interface Body {
  readonly bytes: AsyncIterable<Buffer>;
  /** What was found on the way; to be called after the end. */
  verified(): Verified;
}

/** Opens a body that decodes and checks itself while it is read, which then throws S3Error. */
export function openBody(source: AsyncIterable<Buffer>, header: ReadHeader, authorized: Authorized): Body {
  let verified: Verified | undefined;

  async function* read(): AsyncGenerator<Buffer, void, undefined> {
    const digests = createDigests(header, authorized.payload);
    const trailers = new Map<string, string>();
    for await (const piece of decode(source, authorized, trailers)) {
      digests.update(piece);
      yield piece;
    }
    verified = digests.verify((name) => header(name) ?? trailers.get(name));
  }

  return {
    bytes: read(),
    verified() {
      if (!verified) throw new Error('the body has not been read to its end');
      return verified;
    },
  };
}

const SIGNED_CHUNKS = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';

/** The object's bytes in a body of one of the kinds that x-amz-content-sha256 can name. */
function decode(source: AsyncIterable<Buffer>, { payload, signNext }: Authorized, trailers: Map<string, string>) {
  const onTrailer = (name: string, value: string) => void trailers.set(name, value);
  switch (payload) {
    case SIGNED_CHUNKS:
      return decodeAwsChunked(source, { signNext, hasTrailers: false, onTrailer });
    case `${SIGNED_CHUNKS}-TRAILER`:
      return decodeAwsChunked(source, { signNext, hasTrailers: true, onTrailer });
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return decodeAwsChunked(source, { signNext: undefined, hasTrailers: true, onTrailer });
    default:
      if (payload === 'UNSIGNED-PAYLOAD' || /^[0-9a-f]{64}$/.test(payload)) return source;
      throw new S3Error('NotImplemented', `A body of the kind ${payload} is not supported.`);
  }
}

/** The whole of a small body as text. Throws S3Error when it is longer than `maxBytes`. */
export async function readText(body: Body, maxBytes: number): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of body.bytes) {
    sizeBytes += piece.length;
    if (sizeBytes > maxBytes)
      throw new S3Error('InvalidRequest', `The body must not be longer than ${maxBytes} bytes.`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
