import type { Metrics } from '../metrics.ts';
import type { EventFrame } from '../wire/sse.ts';
import type { State } from '../wire/workflow-json.ts';
import type { Follow } from './follow-events.ts';

/** Silence after which a stream has shown all that was stored, and brings what happens now, in milliseconds. */
const LIVE_AFTER_MS = 25;
/** The same before its first frame, which has the whole way to come. */
const FIRST_FRAME_MS = 250;

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

/** A moment of a shared stream, taken before the workflow is read: see `watch`. */
export interface Mark {
  readonly source: Source;
  readonly frames: number;
}

/** One upstream stream and those it feeds. */
interface Source {
  /** The stream will bring every event with a higher id. Undefined: not known, because a snapshot has no id. */
  position: bigint | undefined;
  /** How many frames have come. */
  frames: number;
  /** Whether one of them was a stored event, so that `position` is an id that exists. */
  delivered: boolean;
  live: boolean;
  /** The stream stands still until its watchers can take more. */
  waiting: boolean;
  /** Each watcher with the id of the last event that it has, or 0 before its first. */
  readonly watchers: Map<Watcher, bigint>;
  readonly abort: AbortController;
}

/**
 * Shares one upstream stream among all watchers of a workflow with one principal, and each event's bytes among them.
 *
 * The first watcher's stream becomes the shared one. A later watcher who already has all that it has brought joins it at
 * once. Any other first reads a stream of its own, and changes over at the event with which it has caught up. Both
 * streams are in the order of ids and the change happens between two events, so nothing is lost and nothing repeated.
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
        const next = await nextFrame(source, frames);
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
    // A stream that has brought nothing tells nobody where it stands: the first that has takes its place.
    if (!target || (source.delivered && !target.delivered)) {
      shared.set(key, source);
      return false;
    }
    if (target.waiting || !source.delivered || !isAt(target, source.position!)) return false;
    for (const [watcher, last] of source.watchers) target.watchers.set(watcher, last);
    source.watchers.clear();
    return true;
  }

  function join(watch: Watch, watcher: Watcher, target: Source, mark: (Mark & { snapshot: EventFrame }) | undefined) {
    if (target.waiting) return false;
    if (watch.cursor !== undefined) {
      // Cursor 0 may be answered with a snapshot, which only the first frame can be.
      if (target.position === undefined || watch.cursor < target.position) return false;
      if (watch.cursor === 0n && target.frames > 0) return false;
      target.watchers.set(watcher, watch.cursor);
      return true;
    }
    // What is still being replayed is older than the snapshot.
    if (mark?.source !== target || mark.frames !== target.frames || !target.live) return false;
    if (target.frames === 0 && target.position === undefined) return false;
    target.watchers.set(watcher, target.position ?? 0n);
    watcher.write(mark.snapshot);
    return true;
  }

  function close(source: Source, key: string): void {
    if (shared.get(key) === source) shared.delete(key);
    source.abort.abort();
  }

  return {
    /** Where the shared stream stands. Taken before the workflow is read, it makes what was read a snapshot. */
    mark({ workflowId, principal }: Pick<Watch, 'workflowId' | 'principal'>): Mark | undefined {
      const source = shared.get(keyOf(workflowId, principal));
      return source && { source, frames: source.frames };
    },

    /**
     * Starts watching, and returns what stops it. The last watcher to stop ends the upstream stream. `mark` with the
     * workflow as it was read after it lets a watcher without a cursor join when nothing has come in between.
     */
    watch(watch: Watch, watcher: Watcher, mark?: Mark & { readonly snapshot: EventFrame }): () => void {
      const key = keyOf(watch.workflowId, watch.principal);
      const target = shared.get(key);
      let source = target;
      if (!target || !join(watch, watcher, target, mark)) {
        source = openSource(watch, watcher);
        if (!target) shared.set(key, source);
        void run(source, key, watch);
      }
      return () => {
        for (const candidate of [source, shared.get(key)]) {
          if (candidate?.watchers.delete(watcher) && candidate.watchers.size === 0) close(candidate, key);
        }
      };
    },
  };
}

function keyOf(workflowId: string, principal: string | undefined): string {
  return JSON.stringify([principal ?? null, workflowId]);
}

function openSource({ cursor }: Watch, watcher: Watcher): Source {
  return {
    position: cursor,
    frames: 0,
    delivered: false,
    live: false,
    waiting: false,
    watchers: new Map([[watcher, cursor ?? 0n]]),
    abort: new AbortController(),
  };
}

/** Whether somebody who has everything up to `id` loses nothing, and waits for nobody's replay, by joining `target`. */
function isAt(target: Source, id: bigint): boolean {
  if (target.position === undefined || id < target.position) return false;
  return target.live || id === target.position;
}

async function nextFrame(source: Source, frames: AsyncGenerator<EventFrame, State>) {
  if (source.live) return frames.next();
  const timer = setTimeout(
    () => {
      source.live = true;
    },
    source.frames === 0 ? FIRST_FRAME_MS : LIVE_AFTER_MS,
  );
  try {
    return await frames.next();
  } finally {
    clearTimeout(timer);
  }
}

function deliver(source: Source, frame: EventFrame): void {
  source.frames++;
  if (frame.id !== 0n) {
    source.position = frame.id;
    source.delivered = true;
  }
  for (const [watcher, last] of source.watchers) {
    // A snapshot is for those who have nothing yet; an event for those who do not have it.
    if (frame.id === 0n ? last !== 0n : frame.id <= last) continue;
    if (frame.id !== 0n) source.watchers.set(watcher, frame.id);
    watcher.write(frame);
  }
}

// A replay goes at the pace of its readers. Live, several readers never wait for each other: the slow one is cut off.
async function keepPace(source: Source): Promise<void> {
  if (source.live && source.watchers.size !== 1) return;
  const pending = [...source.watchers.keys()].map((watcher) => watcher.ready()).filter((ready) => ready !== undefined);
  if (pending.length === 0) return;
  source.waiting = true;
  await Promise.all(pending);
  source.waiting = false;
}

function endAll(source: Source, outcome: Parameters<Watcher['end']>[0]): void {
  for (const watcher of source.watchers.keys()) watcher.end(outcome);
  source.watchers.clear();
}
