import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { FLAG, FRAME, type Frame, PREFACE, ping, readFrame, settings, settingsAck } from './h2-frames.ts';
import { within } from './waiting.ts';

/** One connection of a client, at the level of its frames. */
export type RawPeer = ReturnType<typeof createRawPeer>;

interface RawServerOptions {
  /** Values of the first SETTINGS; none at all are sent for `false`. */
  readonly settings?: readonly (readonly [id: number, value: number])[] | false;
  /** Whether SETTINGS and PINGs of the client are acknowledged. */
  readonly acknowledges?: boolean;
  readonly host?: string;
  /** 0 or none: a free one. */
  readonly port?: number;
}

/**
 * A server that knows frames and no rules: after the handshake it sends what its script sends, whatever that is.
 * `serve` is called for each connection; what it throws is told by `close`.
 */
export async function startRawHttp2Server(
  serve: (peer: RawPeer, index: number) => unknown,
  { settings: announced = [], acknowledges = true, host = 'localhost', port = 0 }: RawServerOptions = {},
) {
  const peers: RawPeer[] = [];
  const faults: unknown[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = createRawPeer(socket, acknowledges);
    peers.push(peer);
    if (announced) peer.send(settings(announced));
    const index = peers.length - 1;
    new Promise((resolve) => resolve(serve(peer, index))).catch((error: unknown) => {
      faults.push(error);
      peer.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, ipv6Only: true }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    /** Every connection that there has been. */
    peers,
    async close(): Promise<void> {
      for (const peer of peers) peer.destroy();
      await new Promise((resolve) => server.close(resolve));
      if (faults.length > 0) throw new Error('the server’s script failed', { cause: faults[0] });
    },
  };
}

function createRawPeer(socket: Socket, acknowledges: boolean) {
  const received: Frame[] = [];
  const waiting = new Set<() => void>();
  const listeners = new Set<(frame: Frame) => void>();
  let bytes = Buffer.alloc(0);
  let hasPreface = false;
  let hasEnded = false;

  function wake(): void {
    for (const look of [...waiting]) look();
  }

  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (!hasPreface && bytes.length >= PREFACE.length) {
      hasPreface = bytes.subarray(0, PREFACE.length).equals(PREFACE);
      if (!hasPreface) socket.destroy();
      bytes = bytes.subarray(PREFACE.length);
    }
    for (let next = hasPreface && readFrame(bytes, 0); next; next = readFrame(bytes, 0)) {
      bytes = bytes.subarray(next.end);
      accept(next.frame);
    }
    wake();
  });
  const closed = new Promise<void>((resolve) => {
    const end = () => {
      hasEnded = true;
      wake();
      resolve();
    };
    socket.once('end', end);
    socket.once('close', end);
  });

  function accept(frame: Frame): void {
    received.push(frame);
    for (const listener of listeners) listener(frame);
    if (!acknowledges || frame.flags & FLAG.ack) return;
    if (frame.type === FRAME.settings) socket.write(settingsAck());
    if (frame.type === FRAME.ping) socket.write(ping(frame.payload, { ack: true }));
  }

  /** The first frame so far, or the next one, for which it holds. */
  function find(label: string, matches: (frame: Frame) => boolean, boundMs?: number): Promise<Frame> {
    let position = 0;
    let look = () => {};
    const found = new Promise<Frame>((resolve, reject) => {
      look = () => {
        for (; position < received.length; position++)
          if (matches(received[position]!)) return resolve(received[position]!);
        if (hasEnded) reject(new Error(`the client left before: ${label}`));
      };
      waiting.add(look);
      look();
    });
    return within(label, found, boundMs).finally(() => waiting.delete(look));
  }

  return {
    received,
    find,
    /** Tells of each frame that comes, after those that are there already. */
    onFrame(listener: (frame: Frame) => void): void {
      for (const frame of received) listener(frame);
      listeners.add(listener);
    },
    /** When the client has ended or broken the connection. */
    closed: (label = 'the client leaves') => within(label, closed),
    isClosed: () => hasEnded,
    send: (...frames: readonly Uint8Array[]) => socket.write(Buffer.concat(frames)),
    /** All at once, but one byte in each packet. */
    async trickle(...frames: readonly Uint8Array[]): Promise<void> {
      for (const byte of Buffer.concat(frames)) {
        socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    /** Reads nothing more: what the client writes piles up on its side. */
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    /** FIN: nothing more is sent, and the client may still talk. */
    end: () => socket.end(),
    reset: () => socket.resetAndDestroy(),
    destroy: () => socket.destroy(),
    /** RFC 9113, section 6.8: the code with which the client gave up the connection. */
    goAwayCode: async () => (await find('GOAWAY', ({ type }) => type === FRAME.goAway)).payload.readUInt32BE(4),
    resetCode: async (id: number) =>
      (
        await find(`RST_STREAM of ${id}`, ({ type, streamId }) => type === FRAME.rstStream && streamId === id)
      ).payload.readUInt32BE(0),
    /** Sends a PING and waits for its answer: all that was sent before has been read. */
    async roundTrip(): Promise<void> {
      const opaque = Buffer.from(`ping${String(received.length).padStart(4, '0')}`);
      socket.write(ping(opaque));
      const isAnswer = ({ type, flags, payload }: Frame) =>
        type === FRAME.ping && (flags & FLAG.ack) !== 0 && payload.equals(opaque);
      await find('the answer to a PING', isAnswer);
    },
  };
}
