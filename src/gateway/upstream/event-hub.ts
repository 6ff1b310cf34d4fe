import type { Metrics } from '../metrics.ts';
import type { EventFrame } from '../wire/sse.ts';
import type { State } from '../wire/workflow-json.ts';
import type { Follow } from './follow-events.ts';

/** Somebody who watches one workflow. None of the functions may throw. */
export interface Watcher {
  readonly write: (frame: EventFrame) => void;
  /** Settles when the watcher can take more; undefined when it can already. */
  readonly ready: () => Promise<void> | undefined;
  /** Called once, last: the workflow's final state, or what made the stream impossible. */
  readonly end: (outcome: { readonly state: State } | { readonly error: unknown }) => void;
}

export interface Watch {
  readonly workflowId: string;
  /** Whose view it is: watchers share a stream only with their own principal. */
  readonly principal: string | undefined;
  /** Undefined: a snapshot, then live. A bigint: every stored event with a higher id, then live. */
  readonly cursor: bigint | undefined;
  readonly metadata: Follow['metadata'];
}

/** One upstream stream and those it feeds. */
interface Source {
  /** The stream will bring every event with a higher id. 0: not known yet, because a snapshot has no id. */
  last: bigint;
  /** Each watcher with the id of the last event that it has, or 0 before its first. */
  readonly watchers: Map<Watcher, bigint>;
  /** The stream stands still until its only watcher can take more. */
  waiting: boolean;
  readonly abort: AbortController;
}

/**
 * Shares one upstream stream among all watchers of a workflow with one principal, and each event's bytes among them.
 *
 * The first watcher's stream becomes the shared one. A later watcher has another cursor, so it first reads a stream of
 * its own; at the first event with which it has caught up with the shared stream, it changes over. Both streams are in
 * the order of ids and the change happens between two events, so nothing is lost and nothing repeated.
 */
export function createEventHub(
  follow: (follow: Pick<Follow, 'workflowId' | 'cursor' | 'metadata' | 'signal'>) => AsyncGenerator<EventFrame, State>,
  metrics: Pick<Metrics, 'upstreamStreams'>,
) {
  const shared = new Map<string, Source>();

  async function run(source: Source, key: string, watch: Watch): Promise<void> {
    metrics.upstreamStreams.inc();
    const frames = follow({ ...watch, signal: source.abort.signal });
    try {
      for (;;) {
        const next = await frames.next();
        if (next.done) return endAll(source, { state: next.value });
        deliver(source, next.value);
        // The last watcher may have left with this very event: a closed source must not become the shared one.
        if (source.abort.signal.aborted || changeOver(source, key)) return;
        await keepPace(source);
      }
    } catch (error) {
      endAll(source, { error });
    } finally {
      metrics.upstreamStreams.dec();
      close(source, key);
      frames.return('UNKNOWN').catch(() => {});
    }
  }

  function changeOver(source: Source, key: string): boolean {
    const target = shared.get(key);
    if (target === source) return false;
    if (!target) {
      shared.set(key, source);
      return false;
    }
    if (target.waiting || target.last === 0n || source.last === 0n || source.last < target.last) return false;
    for (const [watcher, last] of source.watchers) target.watchers.set(watcher, last);
    source.watchers.clear();
    return true;
  }

  function close(source: Source, key: string): void {
    if (shared.get(key) === source) shared.delete(key);
    source.abort.abort();
  }

  return {
    /** Starts watching, and returns what stops it. The last watcher to stop ends the upstream stream. */
    watch(watch: Watch, watcher: Watcher): () => void {
      const key = JSON.stringify([watch.principal ?? null, watch.workflowId]);
      const source: Source = {
        last: watch.cursor ?? 0n,
        watchers: new Map([[watcher, watch.cursor ?? 0n]]),
        waiting: false,
        abort: new AbortController(),
      };
      if (!shared.has(key)) shared.set(key, source);
      void run(source, key, watch);
      return () => {
        for (const candidate of [source, shared.get(key)]) {
          if (candidate?.watchers.delete(watcher) && candidate.watchers.size === 0) close(candidate, key);
        }
      };
    },
  };
}

function deliver(source: Source, frame: EventFrame): void {
  if (frame.id !== 0n) source.last = frame.id;
  for (const [watcher, last] of source.watchers) {
    // A snapshot is for those who have nothing yet; an event for those who do not have it.
    if (frame.id === 0n ? last !== 0n : frame.id <= last) continue;
    if (frame.id !== 0n) source.watchers.set(watcher, frame.id);
    watcher.write(frame);
  }
}

// A long replay goes at the pace of its reader. Several readers never wait for each other: the slow one is cut off.
async function keepPace(source: Source): Promise<void> {
  if (source.watchers.size !== 1) return;
  const [watcher] = source.watchers.keys();
  const ready = watcher?.ready();
  if (!ready) return;
  source.waiting = true;
  await ready;
  source.waiting = false;
}

function endAll(source: Source, outcome: Parameters<Watcher['end']>[0]): void {
  for (const watcher of source.watchers.keys()) watcher.end(outcome);
  source.watchers.clear();
}
