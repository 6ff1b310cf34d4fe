import { RequestError } from './api.js';

/**
 * Calls `attempt` until it resolves, and resolves with the same; throws what no repetition mends, and the signal's
 * reason when that is aborted. `attempt` gets a function to call when the server has taken it in: what is lost after
 * that is resumed after `resumeAfterMs()`, everything else after a growing time.
 */
export async function persist(attempt, { resumeAfterMs, onStatus, signal }) {
  let failures = 1;
  const live = () => {
    failures = 0;
    onStatus('live', 'Connected.');
  };
  for (;;) {
    onStatus('connecting', 'Connecting…');
    try {
      return await attempt(live);
    } catch (error) {
      if (!(error instanceof RequestError && error.retryable)) throw error;
      const waitMs = failures === 0 ? resumeAfterMs() : backoffMs(failures, error.retryAfterMs);
      failures++;
      onStatus('waiting', `${error.message}. Trying again in ${Math.ceil(waitMs / 1_000)} s.`);
      await sleep(waitMs, signal);
    }
  }
}

/**
 * From 1 s doubling to 30 s, on top of what the server asked for. Half of it is random, so that the readers of a server
 * that was away do not come back together.
 */
function backoffMs(failures, retryAfterMs) {
  const longestMs = Math.min(30_000, 1_000 * 2 ** (failures - 1));
  return retryAfterMs + longestMs * (0.5 + Math.random() / 2);
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** Calls `onSilence` with a RequestError unless `heard` is called again within `silenceMs`. */
export function createWatchdog(silenceMs, onSilence) {
  const bark = () => onSilence(new RequestError('the server has fallen silent', { retryable: true }));
  let timer = setTimeout(bark, silenceMs);
  const stop = () => clearTimeout(timer);
  const heard = () => {
    stop();
    timer = setTimeout(bark, silenceMs);
  };
  return { heard, stop };
}
