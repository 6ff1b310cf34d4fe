import { Code, ConnectError } from '@connectrpc/connect';

/** gRPC over HTTP/2, "Length-Prefixed-Message": a flag and four bytes of length. */
export const PREFIX_BYTES = 5;

/** A message as one goes over the wire, not compressed. */
export function envelope(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/**
 * Puts the messages of an answer together from the pieces that it comes in. A message that lies within one piece is not
 * copied. Throws a ConnectError for one that is larger than `maxBytes`, before it is read, or compressed.
 */
export function createEnvelopeReader(maxBytes: number) {
  let prefix = Buffer.alloc(0);
  let partial: Buffer | undefined;
  let filled = 0;

  return {
    /** Calls `onMessage` for each message that is complete with this piece. */
    read(piece: Buffer, onMessage: (message: Buffer) => void): void {
      let at = 0;
      while (at < piece.length) {
        if (partial) {
          const copied = piece.copy(partial, filled, at, at + partial.length - filled);
          at += copied;
          filled += copied;
          if (filled < partial.length) return;
          const message = partial;
          partial = undefined;
          onMessage(message);
          continue;
        }
        let head = piece;
        let headAt = at;
        if (prefix.length > 0 || piece.length - at < PREFIX_BYTES) {
          const missing = PREFIX_BYTES - prefix.length;
          prefix = Buffer.concat([prefix, piece.subarray(at, at + missing)]);
          at = Math.min(piece.length, at + missing);
          if (prefix.length < PREFIX_BYTES) return;
          head = prefix;
          headAt = 0;
          prefix = Buffer.alloc(0);
        } else at += PREFIX_BYTES;
        const length = readLength(head, headAt, maxBytes);
        if (piece.length - at >= length) {
          const message = piece.subarray(at, at + length);
          at += length;
          onMessage(message);
        } else {
          partial = Buffer.allocUnsafe(length);
          filled = 0;
        }
      }
    },

    /** Throws when the answer has ended within a message. */
    end(): void {
      if (partial) {
        throw new ConnectError(`protocol error: promised ${partial.length} bytes, received ${filled}`, Code.DataLoss);
      }
      if (prefix.length > 0) throw new ConnectError('protocol error: incomplete envelope', Code.DataLoss);
    },
  };
}

function readLength(head: Buffer, at: number, maxBytes: number): number {
  if (head[at] !== 0)
    throw new ConnectError('protocol error: a message that is compressed, or no message', Code.Internal);
  const length = head.readUInt32BE(at + 1);
  if (length > maxBytes) {
    throw new ConnectError(
      `a message of ${length} bytes is larger than configured: ${maxBytes}`,
      Code.ResourceExhausted,
    );
  }
  return length;
}
