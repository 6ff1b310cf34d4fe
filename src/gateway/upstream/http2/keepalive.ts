/** Time for the answer to a PING. */
const ANSWER_MS = 20_000;
const PROBE_ANSWER_MS = 5_000;
/** Servers hang up on clients that ask too often while they send nothing else. */
const MIN_PROBE_INTERVAL_MS = 30_000;

export interface KeepaliveParts {
  /** Sends a PING. Its answer is a sign of life like everything else that is read. */
  readonly ping: () => void;
  /** Whether somebody waits for the server. */
  readonly isBusy: () => boolean;
  /** No answer came, and nothing else either. */
  readonly onSilence: (ms: number) => void;
}

/**
 * Finds out that a server is gone without a word: PING (RFC 9113, section 6.7) after `intervalMs` in which streams were
 * open and nothing came.
 */
export function createKeepalive(intervalMs: number, { ping, isBusy, onSilence }: KeepaliveParts) {
  let lastRead = performance.now();
  let lastPing = Number.NEGATIVE_INFINITY;
  /** When the first thing came after it. */
  let answeredAt = Number.POSITIVE_INFINITY;
  let waiting: NodeJS.Timeout | undefined;
  const timer = setInterval(look, intervalMs);
  timer.unref();

  function look(): void {
    if (isBusy() && performance.now() - lastRead >= intervalMs) ask(ANSWER_MS);
  }

  function ask(answerMs: number): void {
    if (waiting) return;
    lastPing = performance.now();
    answeredAt = Number.POSITIVE_INFINITY;
    ping();
    waiting = setTimeout(onSilence, answerMs, answerMs);
    waiting.unref();
  }

  function stopWaiting(): void {
    clearTimeout(waiting);
    waiting = undefined;
  }

  return {
    onRead(): void {
      lastRead = performance.now();
      if (!waiting) return;
      answeredAt = lastRead;
      stopWaiting();
    },

    /** The first stream after a silence starts the clock. */
    onOpen(): void {
      if (!isBusy()) lastRead = performance.now();
    },

    /** A call that began at `since` has got no answer in its time: if nothing else came either, is the server there? */
    probe(since: number): void {
      const mayPing = lastRead > answeredAt || performance.now() - lastPing > MIN_PROBE_INTERVAL_MS;
      if (lastRead <= since && mayPing) ask(PROBE_ANSWER_MS);
    },

    close(): void {
      clearInterval(timer);
      stopWaiting();
    },
  };
}
