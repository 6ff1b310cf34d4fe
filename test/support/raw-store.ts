import { createServer, type Socket } from 'node:net';
import { listenOnLoopback } from './loopback.ts';

/** A request as it came over the wire. */
export interface StoreRequest {
  readonly method: string;
  readonly target: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
}

export type Behaviour = (socket: Socket, request: StoreRequest) => void;

export type RawStore = Awaited<ReturnType<typeof startRawStore>>;

/**
 * Stands in for an object store where a real one would be too well behaved: it records what it is asked, byte for byte,
 * and `behave` writes whatever it likes to the socket.
 */
export async function startRawStore(initial: Behaviour = (socket) => socket.destroy()) {
  const requests: StoreRequest[] = [];
  const sockets = new Set<Socket>();
  let behave = initial;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    let unread = '';
    socket.on('data', (chunk) => {
      unread += chunk.toString('latin1');
      for (let end = unread.indexOf('\r\n\r\n'); end >= 0; end = unread.indexOf('\r\n\r\n')) {
        const request = readRequest(unread.slice(0, end));
        unread = unread.slice(end + 4);
        requests.push(request);
        behave(socket, request);
      }
    });
  });
  const port = await listenOnLoopback(server);

  return {
    url: `http://127.0.0.1:${port}`,
    /** Every request so far. */
    requests: requests as readonly StoreRequest[],
    openConnections: () => sockets.size,
    /** What is done with every request from now on. */
    behave(next: Behaviour): void {
      behave = next;
    },
    close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function readRequest(head: string): StoreRequest {
  const [start = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = start.split(' ');
  const headers = lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.replace(/^[^:]*: */, '')]);
  return { method, target, headers: Object.fromEntries(headers) };
}

/** Does what a store should, with this object under every key. */
export function serve(bytes: Uint8Array): Behaviour {
  return (socket, { headers }) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    const part = first === undefined ? bytes : bytes.subarray(Number(first), Number(last) + 1);
    const contentRange = first === undefined ? '' : `Content-Range: bytes ${first}-${last}/${bytes.length}\r\n`;
    socket.write(
      `HTTP/1.1 ${first === undefined ? '200 OK' : '206 Partial Content'}\r\n${contentRange}Content-Length: ${part.length}\r\n\r\n`,
    );
    socket.write(part);
  };
}
