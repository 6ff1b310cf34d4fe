import { connect } from 'node:net';

export interface DownloadConnection {
  /** Sends a request and settles when the whole body of its answer has come, which must be of `sizeBytes`. One at a time. */
  readonly download: (request: string, sizeBytes: number) => Promise<void>;
  readonly close: () => void;
}

interface DownloadOptions {
  /** How fast it reads; without it, as fast as it can. */
  readonly bytesPerSecond?: number;
  readonly onBytes?: (bytes: Uint8Array) => void;
}

// Each read is looked at before the next one comes, so all sockets can share a buffer. Whoever is slow reads little at once.
const READ_BUFFER = Buffer.alloc(512 * 1024);
const SLOW_READ_BUFFER = Buffer.alloc(16 * 1024);

/**
 * A bare client for HTTP/1.1 that keeps its connection. It must cost little beside the program under test, so it counts
 * bytes and does not keep them. A wrong status or length, and a connection that is lost, fail the download.
 */
export function openDownloadConnection(
  port: number,
  { bytesPerSecond, onBytes }: DownloadOptions = {},
): Promise<DownloadConnection> {
  let head: string | undefined = '';
  let expected = 0;
  let left = 0;
  let waiting: PromiseWithResolvers<void> | undefined;

  const take = (bytes: Buffer) => {
    const body = head === undefined ? bytes : readHead(bytes);
    left -= body.length;
    onBytes?.(body);
    if (left < 0) throw new Error(`more came than the ${expected} bytes that were expected`);
    if (head === undefined && left === 0) waiting?.resolve();
  };

  /** Returns what comes behind the head. */
  const readHead = (bytes: Buffer): Buffer => {
    const start = head?.length ?? 0;
    head = `${head}${bytes.toString('latin1')}`;
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return bytes.subarray(0, 0);
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1];
    if (!/^HTTP\/1\.1 20[06] /.test(head) || length !== String(expected)) {
      throw new Error(`${expected} bytes were expected: ${head.slice(0, end)}`);
    }
    head = undefined;
    return bytes.subarray(end + 4 - start);
  };

  const callback = (length: number, buffer: Uint8Array) => {
    try {
      take((buffer as Buffer).subarray(0, length));
    } catch (error) {
      socket.destroy(error as Error);
    }
    if (bytesPerSecond === undefined) return true;
    setTimeout(() => socket.resume(), (length / bytesPerSecond) * 1000);
    return false;
  };
  const buffer = bytesPerSecond === undefined ? READ_BUFFER : SLOW_READ_BUFFER;
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer, callback } });

  const download = (request: string, sizeBytes: number) => {
    waiting = Promise.withResolvers<void>();
    head = '';
    left = expected = sizeBytes;
    socket.write(request, 'latin1');
    return waiting.promise;
  };
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      reject(error);
      waiting?.reject(error);
    };
    socket.on('connect', () => resolve({ download, close: () => socket.destroy() }));
    socket.on('error', fail);
    socket.on('close', () => fail(new Error(`the connection was closed ${left} bytes before the end`)));
  });
}
