import { type Reading, readAnswers } from './answers.ts';
import { openSocket, type Place } from './open-socket.ts';

export interface Conversation extends Reading {
  /** `closed`: by the server; `left`: by us, who had seen enough; `late`: the time was up. */
  readonly ending: 'closed' | 'left' | 'late';
  readonly tookMs: number;
}

export interface Talk {
  readonly place: Pick<Place, 'port' | 'ca'>;
  /** What is written, with a turn of the event loop between. */
  readonly packets: readonly Buffer[];
  /** Our side ends after so many answers, or once nothing has come for a moment; undefined: never. */
  readonly endAfter: number | 'quiet' | undefined;
  readonly isBare?: (index: number) => boolean | undefined;
  readonly boundMs: number;
  /** Our patience with an answer that is not due yet, such as a long poll. */
  readonly leaveAfterMs?: number | undefined;
}

/** A server that has this long been silent has nothing to say, in milliseconds. */
const QUIET_MS = 150;

/** Writes to a new connection and reads until it is closed. Never throws: what went wrong is in what it answers with. */
export function converse({
  place,
  packets,
  endAfter,
  isBare = () => undefined,
  boundMs,
  leaveAfterMs,
}: Talk): Promise<Conversation> {
  const startedAt = performance.now();
  const chunks: Buffer[] = [];
  let ending: Conversation['ending'] = 'closed';
  let quiet: NodeJS.Timeout | undefined;
  const socket = openSocket(place);
  const stop = (how: Conversation['ending']) => {
    ending = how;
    socket.destroy();
  };
  const read = (isOver: boolean): Reading => {
    if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks));
    return readAnswers(chunks[0] ?? Buffer.alloc(0), isBare, isOver);
  };
  const timer = setTimeout(() => stop('late'), boundMs);
  const leaving = leaveAfterMs === undefined ? undefined : setTimeout(() => stop('left'), leaveAfterMs);

  socket.on('data', (chunk) => {
    chunks.push(chunk);
    const { answers } = read(false);
    const last = answers.at(-1);
    if (last?.endless && isEventStream(last.headers) && last.body.includes('\n\n')) stop('left');
    else if (typeof endAfter === 'number' && answers.length >= endAfter && !last?.endless) socket.end();
    quiet?.refresh();
  });
  socket.on('end', () => socket.end());
  // A reset after an answer is no fault of it: the server does not read what it refuses.
  socket.on('error', () => {});
  void writeAll();

  async function writeAll(): Promise<void> {
    for (const packet of packets) {
      if (socket.destroyed || !socket.writable) return;
      socket.write(packet);
      if (packets.length > 1) await new Promise((resolve) => setImmediate(resolve));
    }
    if (endAfter === 'quiet') quiet = setTimeout(() => socket.end(), QUIET_MS);
  }

  return new Promise((resolve) => {
    socket.on('close', () => {
      clearTimeout(timer);
      clearTimeout(leaving);
      clearTimeout(quiet);
      resolve({ ...read(ending === 'closed'), ending, tookMs: performance.now() - startedAt });
    });
  });
}

function isEventStream(headers: Headers): boolean {
  return headers.get('content-type')?.startsWith('text/event-stream') ?? false;
}
