import type { Socket } from 'node:net';
import { createHpackDecoder } from '../../src/gateway/upstream/http2/hpack/decoder.ts';
import { type Answer, createAnswers } from './backend-answers.ts';
import {
  DEFAULT_TABLE_BYTES,
  DEFAULT_WINDOW_BYTES,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_WINDOW_BYTES,
  SETTING,
} from './backend-frames.ts';

// The server's side of one HTTP/2 connection, for gRPC alone. node:http2 costs more for a call than the gateway that is to
// be measured; this one answers all calls that come in one read with one write. It trusts its peers to keep to the protocol.

export interface Request {
  readonly path: string;
  /** Without the five bytes before it. Not to be kept. */
  readonly message: Buffer;
}

export interface Serve {
  (request: Request): Answer;
  /** Set while somebody wants to know the fields that come with calls. */
  onField?: ((name: string, value: string) => void) | undefined;
}

interface Incoming {
  readonly path: string;
  window: number;
  parts: Buffer[] | undefined;
}

const PREFACE_BYTES = 24;
const SETTING_BYTES = 6;
const PRIORITY_BYTES = 5;
const MESSAGE_PREFIX_BYTES = 5;
const TOP_UP_BYTES = 2 ** 29;
const INVALID_ARGUMENT = { status: '3' };

export function acceptConnection(socket: Socket, serve: Serve): void {
  const answers = createAnswers(socket);
  const decoder = createHpackDecoder({ tableSizeBytes: DEFAULT_TABLE_BYTES });
  const incoming = new Map<number, Incoming>();
  let hasBegun = false;
  let rest: Buffer | undefined;
  let block: Buffer | undefined;
  let endsWithBlock = false;
  let path = '';
  let initialWindow = DEFAULT_WINDOW_BYTES;
  let received = 0;

  const onField = (name: string, value: string) => {
    if (name === ':path') path = value;
    serve.onField?.(name, value);
  };

  function readHeaders(bytes: Buffer, flags: number, id: number, start: number, end: number): void {
    let [from, to] = [start, end];
    if (flags & FLAG.padded) to -= bytes[from++]!;
    if (flags & FLAG.priority) from += PRIORITY_BYTES;
    endsWithBlock = (flags & FLAG.endStream) !== 0;
    if (flags & FLAG.endHeaders) readBlock(bytes, id, from, to);
    else block = Buffer.from(bytes.subarray(from, to));
  }

  function readContinuation(bytes: Buffer, flags: number, id: number, start: number, end: number): void {
    block = Buffer.concat([block!, bytes.subarray(start, end)]);
    if (flags & FLAG.endHeaders) readBlock(block, id, 0, block.length);
  }

  function readBlock(bytes: Buffer, id: number, start: number, end: number): void {
    decoder.decode(bytes, start, end, onField);
    if (endsWithBlock) answers.answer(id, initialWindow, INVALID_ARGUMENT);
    else incoming.set(id, { path, window: initialWindow, parts: undefined });
  }

  function readData(bytes: Buffer, flags: number, id: number, start: number, end: number): void {
    received += end - start;
    if (received > TOP_UP_BYTES) {
      answers.writeNumber(FRAME.windowUpdate, 0, received);
      received = 0;
    }
    const request = incoming.get(id);
    if (!request) return;
    let [from, to] = [start, end];
    if (flags & FLAG.padded) to -= bytes[from++]!;
    const part = bytes.subarray(from, to);
    if (!(flags & FLAG.endStream)) {
      request.parts ??= [];
      request.parts.push(Buffer.from(part));
      return;
    }
    incoming.delete(id);
    const whole = request.parts ? Buffer.concat([...request.parts, part]) : part;
    const message = whole.subarray(MESSAGE_PREFIX_BYTES);
    answers.answer(id, request.window, serve({ path: request.path, message }));
  }

  function readSettings(bytes: Buffer, flags: number, start: number, end: number): void {
    if (flags & FLAG.ack) return;
    for (let at = start; at < end; at += SETTING_BYTES) {
      const setting = bytes.readUInt16BE(at);
      const value = bytes.readUInt32BE(at + 2);
      if (setting === SETTING.headerTableSize) answers.setPeerTable(value);
      if (setting !== SETTING.initialWindowSize) continue;
      for (const request of incoming.values()) request.window += value - initialWindow;
      answers.addToEachWindow(value - initialWindow);
      initialWindow = value;
    }
    answers.writeFrame(FRAME.settings, FLAG.ack, 0, []);
  }

  function readWindowUpdate(bytes: Buffer, id: number, start: number): void {
    const more = bytes.readUInt32BE(start) & MAX_WINDOW_BYTES;
    const request = incoming.get(id);
    if (request) request.window += more;
    else answers.addWindow(id, more);
  }

  function readFrame(bytes: Buffer, type: number, flags: number, id: number, start: number, end: number): void {
    if (type === FRAME.data) readData(bytes, flags, id, start, end);
    else if (type === FRAME.headers) readHeaders(bytes, flags, id, start, end);
    else if (type === FRAME.windowUpdate) readWindowUpdate(bytes, id, start);
    else if (type === FRAME.settings) readSettings(bytes, flags, start, end);
    else if (type === FRAME.continuation) readContinuation(bytes, flags, id, start, end);
    else if (type === FRAME.rstStream) {
      incoming.delete(id);
      answers.drop(id);
    } else if (type === FRAME.ping && !(flags & FLAG.ack)) {
      answers.writeFrame(FRAME.ping, FLAG.ack, 0, bytes.subarray(start, end));
    }
  }

  function read(chunk: Buffer): void {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    if (!hasBegun && bytes.length >= PREFACE_BYTES) {
      hasBegun = true;
      at = PREFACE_BYTES;
    }
    while (hasBegun && bytes.length - at >= FRAME_HEAD_BYTES) {
      const start = at + FRAME_HEAD_BYTES;
      const end = start + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      readFrame(bytes, bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5) & MAX_WINDOW_BYTES, start, end);
      at = end;
    }
    rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }

  socket.on('data', (chunk: Buffer) => {
    read(chunk);
    answers.flush();
  });
  // A program under test that is killed breaks its connections.
  socket.on('error', () => undefined);
  socket.on('close', answers.dropAll);

  // Uploads are never held up: the largest windows there are, for a stream and for the connection.
  answers.writeFrame(FRAME.settings, 0, 0, [0, SETTING.initialWindowSize, 0x7f, 0xff, 0xff, 0xff]);
  answers.writeNumber(FRAME.windowUpdate, 0, MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
  answers.flush();
}
