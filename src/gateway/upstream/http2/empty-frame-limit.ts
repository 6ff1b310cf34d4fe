import { ConnectionError } from './errors.ts';

/** Frames that bring no answer on, in a row and within a second, from which on they are an attack (RFC 9113, section 10.5). */
const MAX_FRAMES = 10_000;
const WINDOW_MS = 1_000;

/** Ends a connection on which a server only keeps us busy: with frames that carry no part of an answer. */
export function createEmptyFrameLimit() {
  let frames = 0;
  let since = 0;
  return {
    count(): void {
      if (frames === 0) since = performance.now();
      if (++frames <= MAX_FRAMES) return;
      if (performance.now() - since < WINDOW_MS)
        throw new ConnectionError('ENHANCE_YOUR_CALM', 'frames without content');
      frames = 0;
    },

    /** Something came of it. */
    reset(): void {
      frames = 0;
    },
  };
}
