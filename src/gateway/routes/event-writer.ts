import type { ServerResponse } from 'node:http';

interface Limits {
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
 * A reader that falls behind by more than the limits is cut off: `onCut` is called, and the connection destroyed.
 */
export function createEventWriter(
  outgoing: ServerResponse,
  heartbeat: Buffer,
  { heartbeatMs, bufferBytes, stallMs }: Limits,
  onCut: () => void,
): EventWriter {
  let takenAt = performance.now();
  // A frame that is larger than the buffer may wait beside it, or nobody could ever read it.
  let oversizeBytes = 0;
  const taken = () => {
    takenAt = performance.now();
  };

  function write(bytes: Buffer): void {
    if (outgoing.destroyed || outgoing.writableEnded) return;
    const waiting = outgoing.writableLength;
    if (waiting === 0) taken();
    if (waiting > bufferBytes + oversizeBytes || performance.now() - takenAt > stallMs) {
      onCut();
      outgoing.destroy();
      return;
    }
    const oversize = bytes.length > bufferBytes ? bytes.length : 0;
    oversizeBytes += oversize;
    outgoing.write(bytes, () => {
      oversizeBytes -= oversize;
      taken();
    });
    timer.refresh();
  }

  const timer = setTimeout(() => write(heartbeat), heartbeatMs).unref();
  let wake: (() => void) | undefined;
  outgoing.on('drain', () => wake?.());
  outgoing.once('close', () => {
    clearTimeout(timer);
    wake?.();
  });
  return {
    write,
    ready() {
      if (!outgoing.writableNeedDrain || outgoing.destroyed) return undefined;
      return new Promise((resolve) => {
        wake = resolve;
      });
    },
    end(bytes) {
      if (outgoing.destroyed || outgoing.writableEnded) return;
      outgoing.end(bytes);
    },
  };
}
