import type { ServerResponse } from 'node:http';
import type { Metrics } from '../metrics.ts';
import { openingLines } from '../wire/sse.ts';

/** How long a resumed stream waits for its first event before the cursor is given back, in milliseconds. */
const CURSOR_AFTER_MS = 100;
const NOTHING = Buffer.alloc(0);

/** How a stream begins: when its reader is to come back after a loss, and what it came with. */
interface Opening {
  readonly retryMs: number;
  readonly cursor: bigint | undefined;
}

export interface StreamLimits {
  /** Silence after which a heartbeat is written. */
  readonly heartbeatMs: number;
  /** Bytes that may wait for the reader. */
  readonly bufferBytes: number;
  /** Time for which the reader may take nothing of what waits. */
  readonly stallMs: number;
}

export interface EventWriter {
  readonly write: (bytes: Buffer) => void;
  /** Settles when the reader has taken what waits, or is gone; undefined when there is nothing to wait for. */
  readonly ready: () => Promise<void> | undefined;
  /** Writes the last bytes and ends the stream. */
  readonly end: (bytes: Buffer) => void;
}

/**
 * Writes Server-Sent Events to one reader. Bytes that are shared among readers are handed to the socket as they are.
 * A reader that falls behind by more than the limits is cut off: that is counted, and the connection destroyed.
 */
export function createEventWriter(
  outgoing: ServerResponse,
  opening: Opening,
  heartbeat: Buffer,
  { heartbeatMs, bufferBytes, stallMs }: StreamLimits,
  metrics: Pick<Metrics, 'streamCuts' | 'eventsSent'>,
): EventWriter {
  // One frame that is larger than the buffer may wait beside it, or nobody could ever read it.
  let oversizeBytes = 0;
  let drained: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  const wake = () => {
    drained?.resolve();
    drained = undefined;
  };

  function cut(): void {
    metrics.streamCuts.inc();
    outgoing.destroy();
  }

  let isOpen = false;
  let openingTimer: NodeJS.Timeout | undefined;
  function withOpening(next: Buffer): Buffer {
    if (isOpen) return next;
    isOpen = true;
    clearTimeout(openingTimer);
    openingTimer = undefined;
    return Buffer.concat([openingLines(opening.retryMs, opening.cursor, next), next]);
  }

  function write(frame: Buffer): void {
    if (outgoing.destroyed || outgoing.writableEnded) return;
    const bytes = withOpening(frame);
    if (outgoing.writableLength > bufferBytes + oversizeBytes) {
      cut();
      return;
    }
    if (bytes.length > bufferBytes && oversizeBytes === 0) {
      oversizeBytes = bytes.length;
      outgoing.write(bytes, () => {
        oversizeBytes = 0;
      });
    } else outgoing.write(bytes);
    timer.refresh();
  }

  const timer = setTimeout(() => write(heartbeat), heartbeatMs).unref();
  if (opening.cursor === undefined) write(NOTHING);
  else openingTimer = setTimeout(() => write(NOTHING), CURSOR_AFTER_MS).unref();
  // Node sets the socket's timer back whenever the reader has taken something, also in the middle of a large frame.
  outgoing.setTimeout(stallMs, () => {
    if (outgoing.writableLength > 0) cut();
  });
  outgoing.on('drain', wake);
  outgoing.on('close', () => {
    clearTimeout(timer);
    clearTimeout(openingTimer);
    wake();
  });
  return {
    write(frame) {
      metrics.eventsSent.count++;
      write(frame);
    },
    ready() {
      if (!outgoing.writableNeedDrain || outgoing.destroyed) return undefined;
      drained ??= Promise.withResolvers<void>();
      return drained.promise;
    },
    end(bytes) {
      if (outgoing.destroyed || outgoing.writableEnded) return;
      outgoing.end(withOpening(bytes));
    },
  };
}
