import type { Log } from '../../shared/log.ts';
import { keepSession } from './session.ts';

const FALLBACK_POLL_MS = 1_000;
const POLL_MS = 5_000;

export interface Subscription {
  /**
   * Resolves when something may have happened since the last call: at a notification, after a while in any case, and
   * at once when `signal` aborts.
   */
  readonly wait: (signal: AbortSignal) => Promise<void>;
  readonly close: () => void;
}

export interface Listener {
  readonly subscribe: (topic: string) => Subscription;
  readonly close: () => Promise<void>;
}

/** Wakes subscribers by LISTEN/NOTIFY on one shared connection; the payload of a notification is its topic. */
export async function startListener(databaseUrl: string, channel: string, log: Log): Promise<Listener> {
  const subscribers = new Map<string, Set<() => void>>();
  const wake = (topic: string) => {
    for (const ring of subscribers.get(topic) ?? []) ring();
  };
  const session = await keepSession({
    databaseUrl,
    purpose: 'listener',
    log,
    async prepare(client) {
      client.on('notification', ({ payload }) => wake(payload ?? ''));
      await client.query(`listen ${channel}`);
      // What was sent while nobody listened is lost.
      for (const topic of subscribers.keys()) wake(topic);
    },
  });

  function subscribe(topic: string): Subscription {
    let rung = false;
    let resolve: (() => void) | undefined;
    const ring = () => {
      rung = true;
      resolve?.();
    };
    const rings = subscribers.get(topic) ?? new Set();
    subscribers.set(topic, rings.add(ring));

    async function wait(signal: AbortSignal): Promise<void> {
      if (!rung && !signal.aborted) {
        const waiting = new Promise<void>((done) => {
          resolve = done;
        });
        const timer = setTimeout(ring, session.isConnected() ? POLL_MS : FALLBACK_POLL_MS);
        signal.addEventListener('abort', ring);
        await waiting;
        clearTimeout(timer);
        signal.removeEventListener('abort', ring);
        resolve = undefined;
      }
      rung = false;
    }

    function close(): void {
      rings.delete(ring);
      if (rings.size === 0 && subscribers.get(topic) === rings) subscribers.delete(topic);
    }
    return { wait, close };
  }

  return { subscribe, close: session.close };
}
