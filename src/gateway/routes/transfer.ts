import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** A pipeline alone listens ten times; Node warns at eleven. */
const LISTENERS = 20;

interface Transfer {
  readonly body: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** How long the sender may be silent while the client could take more, in milliseconds. */
  readonly idleMs: number;
  /** The sender broke off or was silent for too long. Called before the connection to the client is destroyed. */
  readonly onBroken: (error: Error) => void;
}

/**
 * Passes a file on with backpressure and constant memory. Settles when it is over, however it ended; a file that is not
 * whole destroys the connection to the client, so that this is always noticed.
 */
export async function transfer({ body, outgoing, idleMs, onBroken }: Transfer): Promise<void> {
  outgoing.setMaxListeners(LISTENERS);
  body.once('error', (error) => {
    // A client that has left breaks the sender off in turn.
    if (!outgoing.destroyed) onBroken(error);
  });
  const { socket } = body;
  let heard = { bytes: socket.bytesRead, at: performance.now() };
  const watch = setInterval(() => {
    // The time a client takes is not the sender's silence.
    if (socket.bytesRead !== heard.bytes || outgoing.writableNeedDrain) {
      heard = { bytes: socket.bytesRead, at: performance.now() };
    } else if (performance.now() - heard.at > idleMs) {
      body.destroy(new Error(`nothing came for ${idleMs} ms`));
    }
  }, idleMs / 4);
  await pipeline(body, outgoing).catch(() => undefined);
  clearInterval(watch);
}
