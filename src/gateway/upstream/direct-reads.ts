import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { OnReadOpts, Socket } from 'node:net';

/** How much is read at once, in bytes. */
const READ_BYTES = 65_536;

/** Gets what was read, and whether to read on. The bytes change once `release` is called, which must happen. */
export type Take = (bytes: Buffer, release: () => void) => boolean;

interface Tap {
  take: Take | undefined;
}

// Node's HTTP client makes two new buffers for each read. For a large file that is gigabytes of garbage, and collecting it
// took three quarters of the time of a download. So these connections read into few buffers of their own, and copy
// what they read for the HTTP client only until somebody takes it directly.
const taps = new WeakMap<Socket, Tap>();

/** Makes the connections of an agent such that bodies can be taken directly. */
export function allowDirectReads<Agent extends HttpAgent | HttpsAgent>(agent: Agent): Agent {
  const connect: HttpAgent['createConnection'] = agent.createConnection.bind(agent);
  const connectTapped: typeof connect = (options, callback) => {
    const tap: Tap = { take: undefined };
    const onread = createOnRead(tap, (bytes) => socket.push(bytes));
    const tapped: typeof options & { onread: OnReadOpts } = { ...options, onread };
    const socket = connect(tapped, callback) as Socket;
    taps.set(socket, tap);
    return socket;
  };
  return Object.assign(agent, { createConnection: connectTapped });
}

function createOnRead(tap: Tap, push: (bytes: Buffer) => boolean): OnReadOpts {
  const free: Buffer[] = [];
  const callback = (length: number, buffer: Uint8Array) => {
    const bytes = (buffer as Buffer).subarray(0, length);
    if (tap.take) return tap.take(bytes, () => free.push(buffer as Buffer));
    free.push(buffer as Buffer);
    return push(Buffer.from(bytes));
  };
  // Asked for anew after each read: one that somebody still holds is not written to.
  return { buffer: () => free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES), callback };
}

/**
 * Hands everything that is read from now on to `take`, past `body`, of which nothing more will come: its connection cannot
 * be used again. Answers with what had been read before and had not reached the body, which holds what came before that;
 * undefined when it is not possible. Not to be called in the turn in which the head came: what came with it is still on its
 * way to `body`.
 */
export function readDirectly({ socket }: IncomingMessage, take: Take): Buffer[] | undefined {
  const tap = taps.get(socket);
  if (!tap) return undefined;
  tap.take = take;
  // While nobody read the body, the HTTP client left this with the socket. It must not see it any more.
  socket.removeAllListeners('data');
  const left: Buffer[] = [];
  for (let bytes = socket.read(); bytes !== null; bytes = socket.read()) left.push(bytes);
  return left;
}
