import { connect, type Socket } from 'node:net';
import { ADMIN } from './gateway.ts';
import { within } from './waiting.ts';

export interface RawAnswer {
  /** 0: nothing that is an answer came. */
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Everything that Content-Length promised has come. */
  readonly whole: boolean;
}

interface RawRequest {
  readonly method?: string;
  /** The admin's credential unless it says otherwise. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends a request target as it stands, and reads until the connection is over, however it ends. */
export async function sendRaw(port: number, target: string, request: RawRequest = {}): Promise<RawAnswer> {
  const socket = openRaw(port, target, { ...request, headers: { ...request.headers, Connection: 'close' } });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await within(`an answer to ${target.slice(0, 200)}`, closed, 10_000).finally(() => socket.destroy());
  return readAnswer(Buffer.concat(chunks), request.method ?? 'GET');
}

/** The same connection, for tests that read as they like, or not at all. An error is part of the game. */
export function openRaw(port: number, target: string, { method = 'GET', headers = {} }: RawRequest = {}): Socket {
  const lines = Object.entries({ Host: 'test', ...ADMIN, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`);
  return socket;
}

function readAnswer(bytes: Buffer, method: string): RawAnswer {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return { status: 0, headers: {}, body: Buffer.alloc(0), whole: false };
  const [start = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.replace(/^[^:]*: */, '')]),
  );
  const status = Number(start.split(' ')[1]);
  const body = bytes.subarray(end + 4);
  const isBare = method === 'HEAD' || status === 304;
  return { status, headers, body, whole: isBare || String(body.length) === headers['content-length'] };
}
