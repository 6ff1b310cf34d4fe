import { connect } from 'node:net';

export interface HttpConnection {
  /** Sends a whole request. One at a time. */
  readonly send: (request: Buffer) => void;
  /** Gets the status of an answer once all of it is there. */
  onAnswer: (status: number) => void;
  /** Gets the reason when an answer will not come. */
  onLost: (reason: Error) => void;
  readonly isOpen: () => boolean;
}

// Each read is looked at before the next one comes, so all sockets can share the buffer.
const READ_BUFFER = Buffer.alloc(256 * 1024);
const NO_BYTES = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH_NAME = Buffer.from('content-length: ');
const STATUS_AT = 9;
const LF = 0x0a;
const CR = 0x0d;
const ZERO = 0x30;
const SMALL_LETTER = 0x20;

/**
 * A bare client for HTTP/1.1 that keeps its connection. It must cost little beside the program under test, so it reads no
 * more of an answer than its status and its length, which must be said.
 */
export function openHttpConnection(port: number): Promise<HttpConnection> {
  let isWaiting = false;
  let head = NO_BYTES;
  let status = 0;
  let bytesLeft = 0;

  const read = (bytes: Buffer): void => {
    if (!isWaiting) throw new Error(`nothing was asked, but there came: ${bytes.toString('latin1')}`);
    if (status > 0) bytesLeft -= bytes.length;
    else if (!readHead(head.length > 0 ? Buffer.concat([head, bytes]) : bytes)) return;
    if (bytesLeft > 0) return;
    if (bytesLeft < 0) throw new Error(`an answer is ${-bytesLeft} bytes longer than it says`);
    const answered = status;
    isWaiting = false;
    status = 0;
    connection.onAnswer(answered);
  };

  const readHead = (bytes: Buffer): boolean => {
    const end = bytes.indexOf(HEAD_END);
    head = end < 0 ? Buffer.from(bytes) : NO_BYTES;
    if (end < 0) return false;
    status = Number(bytes.toString('latin1', STATUS_AT, STATUS_AT + 3));
    bytesLeft = end + HEAD_END.length + readLength(bytes, end) - bytes.length;
    return true;
  };

  const callback = (length: number, buffer: Uint8Array): boolean => {
    try {
      read((buffer as Buffer).subarray(0, length));
    } catch (error) {
      socket.destroy(error as Error);
    }
    return true;
  };
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: READ_BUFFER, callback } });

  const connection: HttpConnection = {
    send(request) {
      isWaiting = true;
      if (socket.writable) socket.write(request);
      else connection.onLost(new Error('the connection was closed before the request'));
    },
    onAnswer: () => undefined,
    onLost: () => undefined,
    isOpen: () => socket.writable,
  };
  return new Promise((resolve, reject) => {
    const fail = (reason: Error) => {
      reject(reason);
      if (isWaiting) connection.onLost(reason);
      isWaiting = false;
    };
    socket.on('connect', () => resolve(connection));
    socket.on('error', fail);
    socket.on('close', () => fail(new Error(`the connection was closed before its answer was whole: ${head}`)));
  });
}

/** Of the body. Looks at the first bytes of each line alone. Throws for an answer that does not say its length. */
function readLength(bytes: Buffer, end: number): number {
  for (let line = bytes.indexOf(LF) + 1; line > 0 && line < end; line = bytes.indexOf(LF, line) + 1) {
    let at = 0;
    while (at < LENGTH_NAME.length && (bytes[line + at]! | SMALL_LETTER) === LENGTH_NAME[at]) at++;
    if (at < LENGTH_NAME.length) continue;
    let length = 0;
    for (at += line; bytes[at] !== CR; at++) length = length * 10 + bytes[at]! - ZERO;
    return length;
  }
  throw new Error(`an answer does not say how long it is: ${bytes.toString('latin1', 0, end)}`);
}
