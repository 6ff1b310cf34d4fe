import { Code, ConnectError } from '@connectrpc/connect';
import type { Fields } from '../http2/header-blocks.ts';
import { createEnvelopeReader } from './envelopes.ts';
import { type CallParts, openCall } from './open-call.ts';
import { checkHeader, checkTrailer } from './status.ts';

export interface UnaryAnswer {
  readonly header: Fields;
  readonly message: Buffer;
  readonly trailer: Fields;
}

const NOTHING: Fields = [];

/** One request, one answer of at most `maxBytes`. Rejects with ConnectErrors. */
export function callUnary(parts: CallParts, maxBytes: number): Promise<UnaryAnswer> {
  return new Promise((resolve, reject) => {
    const envelopes = createEnvelopeReader(maxBytes);
    let header = NOTHING;
    let message: Buffer | undefined;

    const onMessage = (bytes: Buffer) => {
      if (message) throw new ConnectError('protocol error: received extra output message', Code.Unimplemented);
      message = bytes;
    };
    const call = openCall(parts, {
      header(fields) {
        header = fields;
      },
      data(bytes) {
        call.take(bytes.length);
        try {
          checkHeader(header);
          envelopes.read(bytes, onMessage);
        } catch (error) {
          call.fail(error as ConnectError);
        }
      },
      end(trailer) {
        try {
          if (!message) checkHeader(header);
          checkTrailer(header, trailer);
          envelopes.end();
          if (!message) throw new ConnectError('protocol error: missing output message', Code.Unimplemented);
          resolve({ header, message, trailer: trailer ?? NOTHING });
        } catch (error) {
          reject(error);
        }
      },
      fail: reject,
    });
  });
}
