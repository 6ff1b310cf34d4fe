import { connect } from 'node:net';

export interface HttpConnection {
  /** Sends a request and returns the status of its answer, whose length must be said. One at a time. */
  readonly send: (request: string) => Promise<number>;
  readonly isOpen: () => boolean;
}

// Each read is copied before the next one comes, so all sockets can share the buffer.
const READ_BUFFER = Buffer.alloc(64 * 1024);

/**
 * A bare client for HTTP/1.1 that keeps its connection. It must cost little beside the program under test, so it reads no
 * more of an answer than its status and its length. A connection that is lost fails the request that waits for it.
 */
export function openHttpConnection(port: number): Promise<HttpConnection> {
  let received = '';
  let waiting: PromiseWithResolvers<number> | undefined;
  const read = (length: number, buffer: Uint8Array) => {
    received += (buffer as Buffer).toString('latin1', 0, length);
    const status = readWholeAnswer(received);
    if (status === undefined) return true;
    received = '';
    waiting?.resolve(status);
    return true;
  };
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: READ_BUFFER, callback: read } });
  const send = (request: string) => {
    waiting = Promise.withResolvers<number>();
    if (socket.writable) socket.write(request, 'latin1');
    else waiting.reject(new Error('the connection is closed'));
    return waiting.promise;
  };
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      reject(error);
      waiting?.reject(error);
    };
    socket.on('connect', () => resolve({ send, isOpen: () => socket.writable }));
    socket.on('error', fail);
    socket.on('close', () => fail(new Error(`the connection was closed after: ${received}`)));
  });
}

/** The status, once all of the answer is there. Throws for an answer that does not say its length. */
function readWholeAnswer(received: string): number | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(received)?.[1];
  if (length === undefined) throw new Error(`an answer does not say how long it is: ${received}`);
  if (received.length < end + 4 + Number(length)) return undefined;
  return Number(received.slice(9, 12));
}
