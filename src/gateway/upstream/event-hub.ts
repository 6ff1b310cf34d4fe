import { setTimeout as sleep } from 'node:timers/promises';
import { createTurnstile, type Turnstile } from '../../shared/turnstile.ts';
import type { Metrics } from '../metrics.ts';
import type { State } from '../wire/workflow-json.ts';
import type { Follow } from './follow-events.ts';
import {
  createSharedStream,
  deliver,
  endAll,
  type Frame,
  fallBehind,
  PATIENCE_MS,
  type Seat,
  type SharedStream,
  sit,
  suits,
  type Watcher,
} from './shared-stream.ts';

/** Silence after which a stream that has brought something has brought all that was stored, in milliseconds. */
const LIVE_AFTER_MS = 1_000;
/** Stored events that are passed on in one turn of the event loop. */
const REPLAYED_AT_ONCE = 32;

/** What a watcher wants. Whether it may see the workflow was asked before: streams are shared among all callers. */
export interface Watch {
  readonly workflowId: string;
  /** Undefined: a snapshot, then live. A bigint: every stored event with a higher id, then live. */
  readonly cursor: bigint | undefined;
  readonly metadata: Follow['metadata'];
  /** When the workflow had last changed as it was just read, by the orchestrator's clock, in milliseconds. */
  readonly changedAtMs: number | undefined;
}

/** How many frames each stream of a workflow had brought at a moment: see `watch`. */
export type Mark = ReadonlyMap<SharedStream, number>;

export type EventHub = ReturnType<typeof createEventHub>;

/**
 * Shares one upstream stream among all watchers of a workflow, and each event's bytes among them.
 *
 * A watcher sits down at a stream that suits it. Where there is none it gets one of its own, whose watchers change over
 * to another one as soon as that suits them. All streams are in the order of ids, each watcher's last id is known, and
 * the change happens between two events: so nothing is lost and nothing repeated.
 */
export function createEventHub(
  follow: (request: Pick<Follow, 'workflowId' | 'cursor' | 'metadata' | 'signal'>) => AsyncGenerator<Frame, State>,
  metrics: Pick<Metrics, 'upstreamStreams'>,
  // Of its own: requests must not stand behind thousands of replays that one client has asked for.
  turnstile: Turnstile = createTurnstile(),
) {
  /** The open streams of each workflow, the oldest first: one, and those that are still catching up with it. */
  const workflows = new Map<string, Set<SharedStream>>();

  async function run(stream: SharedStream, watch: Watch): Promise<void> {
    metrics.upstreamStreams.inc();
    const frames = follow({ ...watch, signal: stream.abort.signal });
    try {
      for (;;) {
        const next = await nextFrame(stream, frames);
        if (next.done) return endAll(stream, { state: next.value });
        deliver(stream, next.value);
        changeOver(stream, watch.workflowId);
        await keepPace(stream, watch);
        if (!stream.live && stream.frames % REPLAYED_AT_ONCE === 0) await turnstile.wait(Number.POSITIVE_INFINITY);
        if (stream.abort.signal.aborted) return;
      }
    } catch (error) {
      endAll(stream, { error });
    } finally {
      metrics.upstreamStreams.dec();
      closeIfEmpty(stream, watch.workflowId);
      frames.return('UNKNOWN').catch(() => {});
    }
  }

  /**
   * Moves watchers between this stream and another that stands at the same id, to where more of them sit already. One
   * that is behind would do, too, but a slow reader may have held it up; those who have got nothing yet cannot tell.
   */
  function changeOver(stream: SharedStream, workflowId: string): void {
    let isOlder = true;
    for (const other of workflows.get(workflowId) ?? []) {
      if (stream.seats.size === 0) return;
      if (other === stream) {
        isOlder = false;
        continue;
      }
      const leaves = isOlder ? other.seats.size >= stream.seats.size : other.seats.size > stream.seats.size;
      const [from, to] = leaves ? [stream, other] : [other, stream];
      for (const seat of from.seats) {
        if ((seat.last === to.position || !from.delivered) && suits(to, seat)) sit(seat, to);
      }
      closeIfEmpty(from, workflowId);
    }
  }

  // A replay goes at the pace of its only reader. Of several, those who are slow go on alone; live, they are cut off.
  async function keepPace(stream: SharedStream, watch: Watch): Promise<void> {
    if (stream.live && stream.seats.size > 1) return;
    const slow = new Map<Seat, Promise<void>>();
    for (const seat of stream.seats) {
      const ready = seat.watcher.ready();
      if (ready) slow.set(seat, ready);
    }
    if (slow.size === 0) return;
    const since = performance.now();
    if (stream.seats.size === 1) {
      stream.waiting = true;
      await Promise.all(slow.values());
      stream.waiting = false;
      if (performance.now() - since > PATIENCE_MS) fallBehind(stream);
      return;
    }
    const all = Promise.all([...slow].map(([seat, ready]) => ready.then(() => slow.delete(seat))));
    await Promise.race([all, sleep(Math.max(0, stream.patienceMs), undefined, { ref: false })]);
    stream.patienceMs = slow.size > 0 ? PATIENCE_MS : stream.patienceMs - (performance.now() - since);
    for (const seat of slow.keys()) {
      if (!stream.seats.has(seat)) continue;
      seat.slow = true;
      open({ ...watch, cursor: seat.last }, seat);
    }
    closeIfEmpty(stream, watch.workflowId);
  }

  function open(watch: Watch, seat: Seat): void {
    const stream = createSharedStream(watch.cursor, watch.changedAtMs);
    const streams = workflows.get(watch.workflowId) ?? new Set();
    workflows.set(watch.workflowId, streams.add(stream));
    sit(seat, stream);
    void run(stream, watch);
  }

  function closeIfEmpty(stream: SharedStream, workflowId: string): void {
    if (stream.seats.size > 0) return;
    stream.abort.abort();
    const streams = workflows.get(workflowId);
    if (streams?.delete(stream) && streams.size === 0) workflows.delete(workflowId);
  }

  // A function of its own, so that what it returns holds on to nothing else for hours.
  function leave(seat: Seat, workflowId: string): () => void {
    return () => {
      const { stream } = seat;
      if (stream?.seats.delete(seat)) closeIfEmpty(stream, workflowId);
    };
  }

  return {
    /** Where the streams of a workflow stand. Taken before the workflow is read, it makes what was read a snapshot. */
    mark(workflowId: string): Mark {
      return new Map([...(workflows.get(workflowId) ?? [])].map((stream) => [stream, stream.frames]));
    },

    /**
     * Starts watching, and returns what stops it. The last watcher to stop ends the upstream stream. A watcher without a
     * cursor may be given the workflow `asRead` after the mark was taken, in place of a snapshot of the orchestrator's.
     */
    watch(watch: Watch, watcher: Watcher, mark: Mark, asRead: () => Buffer): () => void {
      const { workflowId, cursor } = watch;
      const streams = [...(workflows.get(workflowId) ?? [])];
      const seat: Seat = { watcher, last: cursor, slow: false, stream: undefined };
      if (cursor !== undefined) {
        const stream = streams.find((candidate) => suits(candidate, seat));
        if (stream) sit(seat, stream);
      } else {
        const opening = streams.find(({ position, waiting }) => position === undefined && !waiting);
        const stream = opening ?? streams.find((candidate) => standsAt(candidate, watch, mark));
        if (stream) {
          sit(seat, stream);
          seat.last = stream.position;
          const snapshot = opening ? opening.snapshot : asRead();
          if (snapshot) watcher.write(snapshot);
        }
      }
      if (!seat.stream) open(watch, seat);
      return leave(seat, workflowId);
    },
  };
}

/** Whether the workflow as it was read is what this stream has brought, no less and no more. */
function standsAt(stream: SharedStream, { changedAtMs }: Watch, mark: Mark): boolean {
  const { atMs, waiting, frames } = stream;
  if (waiting || atMs === undefined || changedAtMs === undefined) return false;
  return changedAtMs <= atMs && mark.get(stream) === frames;
}

async function nextFrame(stream: SharedStream, frames: AsyncGenerator<Frame, State>) {
  if (stream.live || stream.frames === 0) return frames.next();
  const timer = setTimeout(() => {
    stream.live = true;
  }, LIVE_AFTER_MS);
  try {
    return await frames.next();
  } finally {
    clearTimeout(timer);
  }
}
