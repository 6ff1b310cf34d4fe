import type { Middleware } from '../context.ts';
import { GatewayError } from '../errors.ts';

/** Reads the body, counting while it comes: a body over the limit is refused before it fills the memory. */
export function createLimitBody({ limitBytes }: { limitBytes: number }): Middleware {
  const tooLarge = () =>
    new GatewayError('PAYLOAD_TOO_LARGE', `the body is larger than ${limitBytes} bytes`, {
      headers: { Connection: 'close' },
    });

  return async function limitBody(c, next) {
    const { incoming } = c.env;
    if (Number(incoming.headers['content-length'] ?? 0) > limitBytes) throw tooLarge();
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    try {
      // Leaving the loop must not destroy the connection: the answer still has to go over it.
      for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
        sizeBytes += chunk.length;
        if (sizeBytes > limitBytes) throw tooLarge();
        chunks.push(chunk);
      }
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      throw new GatewayError('CLIENT_CLOSED_REQUEST', 'the body broke off', { cause: error });
    }
    c.set('bodyBytes', Buffer.concat(chunks, sizeBytes));
    return next();
  };
}
