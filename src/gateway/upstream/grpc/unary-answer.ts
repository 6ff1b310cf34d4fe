import { Code, ConnectError } from '@connectrpc/connect';
import type { Fields } from '../http2/header-blocks.ts';
import { createEnvelopeReader } from './envelopes.ts';
import { checkHeader, checkTrailer } from './status.ts';

export interface UnaryAnswer {
  readonly header: Fields;
  readonly message: Buffer;
  readonly trailer: Fields;
}

/** Puts the answer of a unary call together, of a message of at most `maxBytes`. Throws ConnectErrors. */
export function createUnaryAnswer(maxBytes: number) {
  const envelopes = createEnvelopeReader(maxBytes);
  let header: Fields = [];
  let message: Buffer | undefined;

  function onMessage(bytes: Buffer): void {
    if (message) throw new ConnectError('protocol error: received extra output message', Code.Unimplemented);
    message = bytes;
  }

  return {
    header(fields: Fields): void {
      header = fields;
    },

    data(bytes: Buffer): void {
      checkHeader(header);
      envelopes.read(bytes, onMessage);
    },

    end(trailer: Fields = []): UnaryAnswer {
      if (!message) checkHeader(header);
      checkTrailer(header, trailer);
      envelopes.end();
      if (!message) throw new ConnectError('protocol error: missing output message', Code.Unimplemented);
      return { header, message, trailer };
    },
  };
}
