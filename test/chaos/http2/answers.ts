import { FLAG, FRAME, readFrame } from '../../support/h2-frames.ts';
import { answerTo, type RawCall } from '../../support/raw-grpc.ts';

export interface Outcome {
  readonly text: string;
  /** What was answered: the bytes of a message, or of each text of a stream. None for a call that failed at once. */
  readonly answers: readonly Buffer[];
}

/** What was written as DATA of each stream, as far as it can be cut into frames. */
export function sourcesOf(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const sources = new Map<number, Buffer>();
  for (let next = readFrame(bytes, 0); next; next = readFrame(bytes, next.end)) {
    const { type, flags, streamId, payload } = next.frame;
    if (type !== FRAME.data) continue;
    const padding = flags & FLAG.padded ? (payload[0] ?? 0) : 0;
    const content = flags & FLAG.padded ? payload.subarray(1, Math.max(1, payload.length - padding)) : payload;
    sources.set(streamId, Buffer.concat([sources.get(streamId) ?? Buffer.alloc(0), content]));
  }
  return sources;
}

/** An answer is what was sent on the stream of its call, or what the honest server of a second attempt says. */
export function assertOwn(
  { text, answers }: Outcome,
  call: RawCall | undefined,
  sources: ReadonlyMap<number, Buffer>,
): void {
  const source = sources.get(call?.streamId ?? 0) ?? Buffer.alloc(0);
  const honest = answerTo({ streamId: 0, text })[1];
  const foreign = answers.find((bytes) => !source.includes(bytes) && !honest.includes(bytes));
  if (!foreign) return;
  const shown = foreign.toString('latin1').slice(0, 200);
  throw new Error(`${text} on stream ${call?.streamId} was answered with what is not its own: ${shown}`);
}
