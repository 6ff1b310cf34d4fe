import { once } from 'node:events';
import {
  data,
  ERROR,
  type Fields,
  FLAG,
  FRAME,
  type Frame,
  goAway,
  PREFACE,
  ping,
  rstStream,
  SETTING,
  settings,
  settingsAck,
  windowUpdate,
} from '../../support/h2-frames.ts';
import type { WireAnswer } from '../answers.ts';
import type { Conversation } from '../conversation.ts';
import { openSocket, type Place } from '../open-socket.ts';
import { createAnswerReader, type StreamReading } from './answer-reader.ts';
import { blockFrames, FRAME_BYTES } from './request-frames.ts';

export interface StreamTalk extends Conversation {
  /** The server's word for the end of the stream (RFC 9113, section 7). */
  readonly resetCode: number | undefined;
  /** Its word for the end of the connection, when that has taken the stream with it. */
  readonly lostCode: number | 'broken' | undefined;
  /** The server has said that it has not looked at the request. */
  readonly isUnheard: boolean;
}

export interface StreamRequest {
  readonly fields: Fields;
  readonly body: Buffer;
  readonly boundMs: number;
  readonly leaveAfterMs?: number | undefined;
}

const WINDOW = 65_535;
const LARGEST_WINDOW = 2 ** 31 - 1;
const EMPTY: Buffer = Buffer.alloc(0);

interface OpenStream {
  readonly id: number;
  window: number;
  unsent: Buffer;
  readonly look: (stream: StreamReading) => void;
  readonly lose: () => void;
}

export type Session = ReturnType<typeof openSession>;

/** One connection of HTTP/2 for many requests, which writes whatever fields it is given. */
export function openSession(place: Pick<Place, 'port' | 'ca'>) {
  const socket = openSocket(place, 'h2');
  const open = new Map<number, OpenStream>();
  let nextId = 1;
  let window = WINDOW;
  let initialWindow = WINDOW;
  let strain = 0;
  let isRetired = false;
  const reader = createAnswerReader({
    onStream: (streamId, stream) => open.get(streamId)?.look(stream),
    onControl: takeControl,
  });
  const closed = once(socket, 'close');

  socket.write(
    Buffer.concat([
      PREFACE,
      settings([[SETTING.initialWindowSize, LARGEST_WINDOW]]),
      windowUpdate(0, LARGEST_WINDOW - WINDOW),
    ]),
  );
  socket.on('data', (chunk: Buffer) => {
    reader.read(chunk);
    if (reader.fault() !== undefined) socket.destroy();
  });
  socket.on('end', () => socket.end());
  socket.on('error', () => {});
  socket.on('close', () => {
    for (const { lose } of [...open.values()]) lose();
  });

  function takeControl({ type, flags, streamId, payload }: Frame): void {
    if (type === FRAME.ping && !(flags & FLAG.ack)) socket.write(ping(payload, { ack: true }));
    if (type === FRAME.settings && !(flags & FLAG.ack)) {
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === SETTING.initialWindowSize) changeWindows(payload.readUInt32BE(at + 2));
      }
      socket.write(settingsAck());
    }
    if (type === FRAME.windowUpdate) {
      const bytes = payload.readUInt32BE(0) & 0x7fffffff;
      const stream = open.get(streamId);
      if (streamId === 0) window += bytes;
      else if (stream) stream.window += bytes;
      sendBodies();
    }
    if (type === FRAME.goAway) {
      const { lastStreamId } = reader.goAway()!;
      for (const { id, lose } of [...open.values()]) if (id > lastStreamId) lose();
      closeIfDone();
    }
  }

  function changeWindows(bytes: number): void {
    for (const stream of open.values()) stream.window += bytes - initialWindow;
    initialWindow = bytes;
  }

  function sendBodies(): void {
    for (const stream of open.values()) {
      while (stream.unsent.length > 0 && window > 0 && stream.window > 0 && socket.writable) {
        const bytes = Math.min(stream.unsent.length, FRAME_BYTES, window, stream.window);
        const piece = stream.unsent.subarray(0, bytes);
        stream.unsent = stream.unsent.subarray(bytes);
        stream.window -= bytes;
        window -= bytes;
        socket.write(data(stream.id, piece, { end: stream.unsent.length === 0 }));
      }
    }
  }

  function closeIfDone(): void {
    if (open.size > 0 || !(isRetired || reader.goAway()) || !socket.writable) return;
    socket.write(goAway(0, ERROR.noError));
    socket.end();
  }

  /** Never rejects: what went wrong is in what it answers with. */
  function request({ fields, body, boundMs, leaveAfterMs }: StreamRequest): Promise<StreamTalk> {
    const startedAt = performance.now();
    const id = nextId;
    nextId += 2;
    return new Promise((resolve) => {
      const over = (ending: Conversation['ending'], lostCode?: StreamTalk['lostCode']) => {
        const stream = reader.streams.get(id);
        clearTimeout(timer);
        clearTimeout(leaving);
        open.delete(id);
        const last = reader.goAway()?.lastStreamId;
        const fault = reader.fault() ?? (lostCode === undefined ? breachOf(stream, ending) : undefined);
        resolve({
          answers: answersOf(stream, ending),
          interims: stream?.interims ?? [],
          rest: EMPTY,
          ...(fault !== undefined && { fault }),
          ending,
          tookMs: performance.now() - startedAt,
          resetCode: stream?.resetCode,
          lostCode,
          isUnheard: lostCode !== undefined && last !== undefined && id > last,
        });
        closeIfDone();
      };
      const leave = (ending: Conversation['ending']) => {
        strain++;
        if (socket.writable) socket.write(rstStream(id, ERROR.cancel));
        over(ending);
      };
      const timer = setTimeout(() => leave('late'), boundMs);
      const leaving = leaveAfterMs === undefined ? undefined : setTimeout(() => leave('left'), leaveAfterMs);
      const lose = () => over('closed', reader.goAway()?.code ?? 'broken');
      const look = (stream: StreamReading) => {
        if (stream.resetCode !== undefined) {
          if (stream.resetCode !== ERROR.noError) strain++;
          over('closed');
        } else if (stream.isEnded) {
          // A request that was answered before its end is given up.
          if (open.get(id)!.unsent.length > 0) socket.write(rstStream(id, ERROR.noError));
          over('closed');
        } else if (isEventStream(stream) && stream.chunks.some((chunk) => chunk.includes('\n\n'))) leave('left');
      };
      open.set(id, { id, window: initialWindow, unsent: body, look, lose });
      if (!socket.writable) return lose();
      socket.write(blockFrames(id, fields, { end: body.length === 0 }));
      sendBodies();
    });
  }

  return {
    request,
    /** Whether it takes more requests. */
    isOpen: () => !isRetired && !reader.goAway() && socket.writable && nextId < LARGEST_WINDOW,
    /** How many of its streams were ended by force, which a server counts. */
    strain: () => strain,
    /** Takes no more requests; resolves when it is closed. */
    async retire(): Promise<void> {
      isRetired = true;
      closeIfDone();
      await closed;
    },
  };
}

function answersOf(stream: StreamReading | undefined, ending: Conversation['ending']): WireAnswer[] {
  if (stream?.status === undefined) return [];
  const { status, headers, chunks, isEnded } = stream;
  if (isEnded) return [{ status, headers, body: Buffer.concat(chunks) }];
  return ending === 'left' ? [{ status, headers, body: Buffer.concat(chunks), endless: true }] : [];
}

/** What is wrong with the end of an answer, if anything. */
function breachOf(stream: StreamReading | undefined, ending: Conversation['ending']): string | undefined {
  if (!stream || ending !== 'closed') return undefined;
  const { status, isEnded, resetCode } = stream;
  if (status !== undefined && !isEnded) return `an answer of ${status} broke off with ${resetCode}`;
  return undefined;
}

function isEventStream({ headers }: StreamReading): boolean {
  return headers.get('content-type')?.startsWith('text/event-stream') ?? false;
}
