import { connect } from 'node:net';
import { ERROR, FLAG, FRAME, goAway, ping } from '../../support/h2-frames.ts';
import type { Conversation } from '../conversation.ts';
import { openSocket, type Place } from '../open-socket.ts';
import { createAnswerReader, type GoAway, type StreamReading } from './answer-reader.ts';
import type { FramesInput } from './raw.ts';

export interface FramesTalk {
  readonly streams: ReadonlyMap<number, StreamReading>;
  readonly goAway: GoAway | undefined;
  readonly fault: string | undefined;
  readonly ending: Conversation['ending'];
  readonly tookMs: number;
}

/** A server that has this long been silent has nothing to say, in milliseconds. */
const QUIET_MS = 150;
const NAG_MS = 1_000;

interface FramesOptions {
  readonly boundMs: number;
  /** Says nothing more, and stays. */
  readonly isHeld: boolean;
}

/** Writes frames to a new connection and reads until it is closed. Never throws. */
export function converseInFrames(
  place: Pick<Place, 'port' | 'ca'>,
  { packets, asked, isStubborn, isPlain }: FramesInput,
  { boundMs, isHeld }: FramesOptions,
): Promise<FramesTalk> {
  const startedAt = performance.now();
  const socket = isPlain
    ? connect({ port: place.port, host: '127.0.0.1', allowHalfOpen: true })
    : openSocket(place, 'h2');
  const waiting = new Set(asked.map(({ streamId }) => streamId));
  let ending: Conversation['ending'] = 'closed';
  let quiet: NodeJS.Timeout | undefined;
  let nagging: NodeJS.Timeout | undefined;
  const reader = createAnswerReader({
    onStream(streamId, { isEnded, resetCode }) {
      if (!isEnded && resetCode === undefined) return;
      if (waiting.delete(streamId) && waiting.size === 0 && !isHeld) leave();
    },
    onControl({ type, flags, payload }) {
      if (type === FRAME.ping && !(flags & FLAG.ack) && socket.writable) socket.write(ping(payload, { ack: true }));
    },
  });
  const leave = () => {
    if (socket.writable) socket.end(goAway(0, ERROR.noError));
  };
  const timer = setTimeout(() => {
    ending = 'late';
    socket.destroy();
  }, boundMs);
  socket.on('data', (chunk: Buffer) => {
    // Without TLS there is nothing but an alert.
    if (!isPlain) reader.read(chunk);
    quiet?.refresh();
  });
  socket.on('end', () => {
    if (!isStubborn) return void socket.end();
    // Only what is written to a connection shows that its other end is there no more.
    nagging = setInterval(() => socket.write(ping(Buffer.alloc(8))), NAG_MS);
  });
  // A reset after an answer is no fault of it: the server does not read what it refuses.
  socket.on('error', () => {});
  void writeAll();

  async function writeAll(): Promise<void> {
    for (const packet of packets) {
      if (!socket.writable) return;
      socket.write(packet);
      if (packets.length > 1) await new Promise((resolve) => setImmediate(resolve));
    }
    if (!isHeld && asked.length === 0) quiet = setTimeout(() => socket.end(), QUIET_MS);
  }

  return new Promise((resolve) => {
    socket.on('close', () => {
      clearTimeout(timer);
      clearTimeout(quiet);
      clearInterval(nagging);
      resolve({
        streams: reader.streams,
        goAway: reader.goAway(),
        fault: reader.fault(),
        ending,
        tookMs: performance.now() - startedAt,
      });
    });
  });
}
