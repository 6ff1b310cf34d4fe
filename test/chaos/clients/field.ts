import { connect, type Socket } from 'node:net';
import type { Seeded } from '../seeded.ts';
import type { Furniture } from './furniture.ts';
import type { Tally } from './tally.ts';

/** What an attack works with. */
export interface Field {
  readonly port: number;
  /** The loopback address to come from next, one after the other. */
  readonly nextAddress: () => string;
  readonly seeded: Seeded;
  readonly furniture: Furniture;
  readonly tally: Tally;
  readonly sockets: Set<Socket>;
  /** Aborted when the attack is over: then nothing is opened any more. */
  readonly over: AbortSignal;
}

/** One connection of an attacker. */
export interface RawSocket {
  readonly write: (bytes: Buffer) => void;
  /** Writes without limit, each time the gateway has taken what there was. */
  readonly pour: (bytes: Buffer) => void;
  /** Says that nothing more will come, and goes on reading. */
  readonly halfClose: () => void;
  readonly leave: () => void;
  readonly reset: () => void;
}

export interface RawEvents {
  readonly onOpen?: (socket: RawSocket) => void;
  /** For each status line that comes. */
  readonly onAnswer?: (status: string, socket: RawSocket) => void;
  /** The connection is over, or never came to be. */
  readonly onEnd?: () => void;
}

/** How attackers open the next connection: as fast as they may, but never in one burst that only tests the kernel. */
const TICK_MS = 10;
// Each read is looked at before the next one comes, so all sockets can share the buffer.
const READ_BUFFER = Buffer.alloc(256 * 1024);
const STATUS_LINE = Buffer.from('HTTP/1.1 ');

/**
 * Opens a connection that must cost little beside the program under attack: of what comes it looks at status lines alone.
 * With `reads: false` it takes nothing at all.
 */
export function openRaw(field: Field, { onOpen, onAnswer, onEnd }: RawEvents, { reads = true } = {}): void {
  if (field.over.aborted) return;
  const { tally, sockets } = field;
  const localAddress = field.nextAddress();
  let isLeft = false;
  const read = (bytes: Buffer) => {
    for (let at = bytes.indexOf(STATUS_LINE); at >= 0; at = bytes.indexOf(STATUS_LINE, at + 1)) {
      const status = bytes.toString('latin1', at + STATUS_LINE.length, at + STATUS_LINE.length + 3);
      // It may be a sentence about HTTP/1.1.
      if (!/^\d{3}$/.test(status)) continue;
      tally.statuses[status] = (tally.statuses[status] ?? 0) + 1;
      onAnswer?.(status, raw);
    }
  };
  const callback = (length: number, buffer: Uint8Array) => {
    read((buffer as Buffer).subarray(0, length));
    return true;
  };
  const options = { port: field.port, host: '127.0.0.1', localAddress, noDelay: true };
  const socket = reads ? connect({ ...options, onread: { buffer: READ_BUFFER, callback } }) : connect(options).pause();
  const leave = (how: 'destroy' | 'resetAndDestroy') => () => {
    isLeft = true;
    socket[how]();
  };
  const raw: RawSocket = {
    write(bytes) {
      if (socket.writable) socket.write(bytes);
    },
    pour(bytes) {
      const more = () => {
        while (socket.writable && socket.write(bytes));
      };
      socket.on('drain', more);
      more();
    },
    halfClose: () => socket.end(),
    leave: leave('destroy'),
    reset: leave('resetAndDestroy'),
  };
  sockets.add(socket);
  tally.peak = Math.max(tally.peak, sockets.size);
  socket.on('connect', () => {
    tally.opened++;
    onOpen?.(raw);
  });
  socket.on('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => {
    if (!field.over.aborted && !isLeft) tally.errors[code] = (tally.errors[code] ?? 0) + 1;
  });
  socket.on('close', () => {
    sockets.delete(socket);
    if (field.over.aborted) return;
    if (!isLeft) tally.closed++;
    onEnd?.();
  });
}

/** Keeps `count` connections open by calling `open` for each that is missing, `perSecond` times in a second at the most. */
export function keepOpen(field: Field, count: number, perSecond: number, open: (onEnd: () => void) => void): void {
  let missing = count;
  let due = 0;
  const timer = setInterval(() => {
    due = Math.min(due + (perSecond * TICK_MS) / 1_000, perSecond / 10);
    for (; missing > 0 && due >= 1; due--) {
      missing--;
      open(() => {
        missing++;
      });
    }
  }, TICK_MS);
  field.over.addEventListener('abort', () => clearInterval(timer));
}

/** Calls `act` every so many milliseconds until the attack is over, or the answered function is called. */
export function every(field: Field, ms: number, act: () => void): () => void {
  const timer = setInterval(act, ms);
  const stop = () => clearInterval(timer);
  field.over.addEventListener('abort', stop, { once: true });
  return () => {
    stop();
    field.over.removeEventListener('abort', stop);
  };
}

interface FloodOptions {
  /** Send one request on each connection, and leave it when it is answered. */
  readonly reconnect?: boolean;
  /** How long an answer is waited for, in milliseconds. */
  readonly patienceMs?: number;
}

/** Sends what `next` says as fast as it is answered on each of `count` connections, and opens another one for each that ends. */
export function flood(
  field: Field,
  count: number,
  next: () => Buffer,
  { reconnect = false, patienceMs = 30_000 }: FloodOptions = {},
): void {
  const open = () => {
    let timer: NodeJS.Timeout | undefined;
    const send = (socket: RawSocket) => {
      field.tally.sent++;
      socket.write(next());
      timer ??= setTimeout(socket.leave, patienceMs);
      timer.refresh();
    };
    openRaw(field, {
      onOpen: send,
      onAnswer: (_status, socket) => (reconnect ? socket.leave() : send(socket)),
      onEnd() {
        clearTimeout(timer);
        // Not at once: the loop of the attacker has to get on with the others.
        setImmediate(open);
      },
    });
  };
  for (let index = 0; index < count; index++) open();
}

/** A request as bytes, with a Host. */
export function request(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Buffer {
  const lines = Object.entries({ Host: 'gateway.test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
}
