import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readDirectly } from '../upstream/direct-reads.ts';

/** A pipeline alone listens ten times; Node warns at eleven. */
const LISTENERS = 20;
/** From which size on it is worth a connection to the store to read directly, in bytes. */
const DIRECT_BYTES = 4 * 1024 * 1024;
/** How much of a file may wait for the client, in bytes. */
const WAITING_BYTES = 131_072;
/** A smaller read is not worth the buffer that it would hold while it waits, in bytes. */
const SMALL_BYTES = 32_768;

interface Transfer {
  readonly body: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** How long the sender may be silent while the client could take more, in milliseconds. */
  readonly idleMs: number;
  /** The sender broke off or was silent for too long. Called before the connection to the client is destroyed. */
  readonly onBroken: (error: Error) => void;
  /** Called now and then with how many bytes of the file have come since the last time. */
  readonly onBytes: (count: number) => void;
}

/**
 * Passes a file on with backpressure and constant memory. Settles when it is over, however it ended; a file that is not
 * whole destroys the connection to the client, so that this is always noticed. When the client leaves, or is cut off because it
 * takes nothing, the connection to the sender is closed.
 */
export async function transfer({ body, outgoing, idleMs, onBroken, onBytes }: Transfer): Promise<void> {
  outgoing.setMaxListeners(LISTENERS);
  body.once('error', (error) => {
    // A client that has left breaks the sender off in turn.
    if (!outgoing.destroyed) onBroken(error);
  });
  const { socket } = body;
  let heard = { bytes: socket.bytesRead, at: performance.now() };
  const sizeBytes = Number(body.headers['content-length']);
  const before = socket.bytesRead - body.readableLength;
  let counted = 0;
  // The connection may be somebody else's by the time that a slow client has taken its file.
  const count = () => {
    const come = Math.max(counted, Math.min(socket.bytesRead - before, sizeBytes));
    onBytes(come - counted);
    counted = come;
  };
  const watch = setInterval(() => {
    count();
    // The time a client takes is not the sender's silence.
    if (socket.bytesRead !== heard.bytes || outgoing.writableNeedDrain || outgoing.writableLength > WAITING_BYTES) {
      heard = { bytes: socket.bytesRead, at: performance.now() };
    } else if (performance.now() - heard.at > idleMs) {
      body.destroy(new Error(`nothing came for ${idleMs} ms`));
    }
  }, idleMs / 4);
  // What came in one piece with the head has reached the body by then.
  await nextTurn();
  await ((sizeBytes >= DIRECT_BYTES && passDirectly(body, outgoing, sizeBytes)) ||
    pipeline(body, outgoing).catch(() => undefined));
  clearInterval(watch);
  count();
}

/** Undefined when it is not possible. */
function passDirectly(body: IncomingMessage, outgoing: ServerResponse, sizeBytes: number): Promise<void> | undefined {
  // Whatever is over before it began, a pipeline notices.
  if (body.destroyed || outgoing.destroyed) return undefined;
  const { socket } = body;
  let left = sizeBytes;
  let isStopped = false;
  const readOn = () => {
    if (!isStopped || outgoing.writableLength > WAITING_BYTES) return;
    isStopped = false;
    socket.resume();
  };
  const pass = (bytes: Buffer, release: () => void) => {
    const part = bytes.subarray(0, left);
    left -= part.length;
    const isCopied = part.length < SMALL_BYTES && outgoing.writableLength > 0;
    const kept = isCopied ? Buffer.from(part) : part;
    if (isCopied) release();
    outgoing.write(kept, () => {
      if (!isCopied) release();
      readOn();
    });
    if (left === 0) {
      outgoing.end();
      body.destroy();
    }
    isStopped = outgoing.writableLength > WAITING_BYTES;
    return !isStopped;
  };
  const unseen = readDirectly(body, pass);
  if (!unseen) return undefined;
  // What had come with the head, and behind it.
  for (let bytes = body.read(); bytes !== null; bytes = body.read()) pass(bytes, () => undefined);
  for (const bytes of unseen) pass(bytes, () => undefined);
  isStopped = true;
  readOn();
  return new Promise((resolve) => {
    outgoing.once('close', () => {
      body.destroy();
      resolve();
    });
    body.once('close', () => {
      if (left > 0) outgoing.destroy();
    });
  });
}
