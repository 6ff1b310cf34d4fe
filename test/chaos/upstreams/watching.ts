import { startResumingClient } from '../../support/resuming-client.ts';
import { checkHistory } from '../history.ts';
import type { Order } from './orders.ts';
import type { Samples } from './samples.ts';

/** Sooner than the server asks for: a run that obeyed would mostly wait. */
const RETRY_MS = 300;
const PATIENCE_MS = 2_000;

/** What is said with a status; the client does not read it. */
const WORDS: Readonly<Record<number, string>> = {
  429: 'TOO_MANY_REQUESTS',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

export type Watching = ReturnType<typeof watchOrder>;

/** Watches the workflow of an order from its first event to its end, over as many streams as that takes. */
export function watchOrder(port: number, { id, client, key }: Order, samples: Samples, onEvent?: () => void) {
  const ids: number[] = [];
  const oddities: string[] = [];
  let ended: string | undefined;
  let judged = 0;
  let openedMs = performance.now();
  const stream = startResumingClient({
    url: `http://127.0.0.1:${port}/v1/workflows/${id}/events`,
    headers: { Authorization: `Bearer ${client.token}`, 'X-Request-Id': `watch-${key}` },
    from: '0',
    retryMs(askedMs) {
      judge();
      return Math.min(askedMs ?? RETRY_MS, RETRY_MS);
    },
    onEvent({ id: eventId, event, data }) {
      if (eventId !== undefined) {
        ids.push(Number(eventId));
        onEvent?.();
      } else if (event === 'end') ended = data;
      // The orchestrator was away for longer than the gateway waits.
      else if (event !== 'error' || !data.includes('"retryable":true'))
        oddities.push(`${event}: ${data.slice(0, 200)}`);
    },
  });
  stream.over.then(judge, judge);

  function judge(): void {
    const endedMs = performance.now();
    for (const status of stream.statuses.slice(judged)) {
      // A stream itself may last; what it was answered with came at its begin.
      const beganMs = status < 300 ? openedMs : Math.max(openedMs, endedMs - PATIENCE_MS);
      const code = WORDS[status];
      samples.add({ kind: 'watch', beganMs, endedMs, status, code, broken: undefined, wrong: undefined });
    }
    judged = stream.statuses.length;
    openedMs = endedMs;
  }

  return {
    over: stream.over.catch(() => {}),
    stop: stream.stop,
    connections: () => stream.statuses.length,
    hasEnded: () => ended !== undefined || stream.statuses.at(-1) === 204,
    /** What it saw wrong, given the id of the last event that is stored. */
    faults(lastEventId: number): string[] {
      const wrong = [...oddities, ...checkHistory(ids, lastEventId)];
      if (ended === undefined) wrong.push('was never told of the end');
      return wrong.slice(0, 3).map((fault) => `the watcher of ${key}: ${fault}`);
    },
  };
}
