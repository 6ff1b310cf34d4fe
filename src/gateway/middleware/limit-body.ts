import type { IncomingMessage } from 'node:http';
import type { Middleware } from '../context.ts';
import { GatewayError } from '../errors.ts';

/** Reads the body, counting while it comes: a body over the limit is refused before it fills the memory. */
export function createLimitBody({ limitBytes }: { limitBytes: number }): Middleware {
  const tooLarge = () =>
    new GatewayError('PAYLOAD_TOO_LARGE', `the body is larger than ${limitBytes} bytes`, {
      headers: { Connection: 'close' },
    });

  // By its events: to iterate costs a promise and more for each chunk, 4 % of a submission.
  function read(incoming: IncomingMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      const onData = (chunk: Buffer) => {
        sizeBytes += chunk.length;
        if (sizeBytes <= limitBytes) chunks.push(chunk);
        else stop(tooLarge());
      };
      const onEnd = () => {
        leave();
        resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, sizeBytes));
      };
      const onBroken = (cause?: Error) => {
        stop(new GatewayError('CLIENT_CLOSED_REQUEST', 'the body broke off', { cause }));
      };
      const leave = () => {
        incoming.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken);
      };
      // The connection stays: the answer still has to go over it.
      const stop = (error: GatewayError) => {
        leave();
        incoming.pause();
        reject(error);
      };
      // The client may have gone while its key was looked up: then nothing comes any more, not even an end.
      if (incoming.destroyed) return onBroken(incoming.errored ?? undefined);
      incoming.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken);
    });
  }

  return async function limitBody(c) {
    const { incoming, facts } = c.env;
    if (Number(incoming.headers['content-length'] ?? 0) > limitBytes) throw tooLarge();
    facts.bodyBytes = await read(incoming);
  };
}
