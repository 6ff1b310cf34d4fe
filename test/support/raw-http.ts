import { connect, type Socket } from 'node:net';
import { within } from './waiting.ts';

/** An answer as it came over the wire. Of a chunked one, `body` is what the chunks carried, and trailers are in `head`. */
export interface RawAnswer {
  /** 0: the connection was closed without an answer. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** What is written as a request: the target, the names and the values go out as they are, right or wrong. */
export interface RawRequest {
  readonly method?: string;
  readonly target: string;
  /** A name with several values is sent several times. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | undefined;
}

/** `Host`, `Connection: close` and `Content-Length` are added, unless the headers have them. */
export function requestText({ method = 'GET', target, headers = {}, body }: RawRequest): string {
  const given = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const added = {
    Host: 'gateway.test',
    Connection: 'close',
    ...(body && { 'Content-Length': Buffer.byteLength(body) }),
  };
  const fields = [
    ...Object.entries(added).filter(([name]) => !given.has(name.toLowerCase())),
    ...Object.entries(headers),
  ];
  const lines = fields.flatMap(([name, values]) => [values].flat().map((value) => `${name}: ${value}\r\n`));
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`;
}

/** Writes a request and reads until the connection is closed, by this side once `leave` settles. */
export async function exchange(
  port: number,
  request: string,
  { boundMs = 5_000, leave }: { boundMs?: number; leave?: Promise<unknown> | undefined } = {},
): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write(request);
    void leave?.finally(() => socket.destroy());
    return readAnswer((await within(request.split('\r\n', 1)[0]!, readAll(socket), boundMs)).toString());
  } finally {
    socket.destroy();
  }
}

/** Also what came before the connection broke. */
function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
}

function readAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const head = end < 0 ? text : text.slice(0, end);
  const rest = end < 0 ? '' : text.slice(end + 4);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  if (status === 100) return readAnswer(rest);
  if (!/^transfer-encoding: *chunked/im.test(head)) return { status, head, body: rest };
  const { body, trailers } = readChunks(Buffer.from(rest));
  return { status, head: `${head}\r\n${trailers}`, body };
}

function readChunks(bytes: Buffer): { readonly body: string; readonly trailers: string } {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const sizeBytes = Number.parseInt(bytes.toString('latin1', at, Math.max(at, lineEnd)), 16);
    // 0 ends it; not a number: it was broken off.
    if (!sizeBytes) return { body: Buffer.concat(chunks).toString(), trailers: bytes.toString('latin1', lineEnd + 2) };
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + sizeBytes));
    at = lineEnd + 2 + sizeBytes + 2;
  }
}
