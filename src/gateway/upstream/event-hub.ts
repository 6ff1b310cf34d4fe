import { setTimeout as sleep } from 'node:timers/promises';
import type { Metrics } from '../metrics.ts';
import { type EventFrame, type Gap, gapFrame } from '../wire/sse.ts';
import type { State } from '../wire/workflow-json.ts';
import type { Follow } from './follow-events.ts';

/** Silence after which a stream has shown all that was stored, and brings what happens now, in milliseconds. */
const LIVE_AFTER_MS = 1_000;
/** How long readers who replay together wait for the slowest of them, in milliseconds. */
const PATIENCE_MS = 100;

/** Somebody who watches one workflow. None of the functions may throw. */
export interface Watcher {
  readonly write: (bytes: Buffer) => void;
  /** Settles when the watcher can take more; undefined when it can already. */
  readonly ready: () => Promise<void> | undefined;
  /** Called once, last: the workflow's final state, or what made the stream impossible. */
  readonly end: (outcome: Outcome) => void;
}

export type Outcome = { readonly state: State } | { readonly error: unknown };

/** What a watcher wants. Whether it may see the workflow was asked before: the stream is shared among all callers. */
export interface Watch {
  readonly workflowId: string;
  /** Undefined: a snapshot, then live. A bigint: every stored event with a higher id, then live. */
  readonly cursor: bigint | undefined;
  readonly metadata: Follow['metadata'];
  /** When the workflow had last changed as it was just read, by the orchestrator's clock, in milliseconds. */
  readonly changedAtMs: number | undefined;
}

/** A moment of a shared stream, taken before the workflow is read: see `watch`. */
export interface Mark {
  readonly source: Source;
  readonly frames: number;
}

/** A watcher, the id of the last event that it has (0 before its first), and the stream that feeds it. */
interface Seat {
  readonly watcher: Watcher;
  last: bigint;
  source: Source | undefined;
}

export type EventHub = ReturnType<typeof createEventHub>;

/** One upstream stream and those it feeds. */
interface Source {
  /** The stream will bring every event with a higher id. Undefined: not known, because a snapshot has no id. */
  position: bigint | undefined;
  /** How many frames have come. */
  frames: number;
  /** Whether one of them was a stored event, so that `position` is an id that exists. */
  delivered: boolean;
  /** It brings what happens now, no longer what was stored before. */
  live: boolean;
  /** It stands still until its only watcher can take more. */
  waiting: boolean;
  readonly changedAtMs: number | undefined;
  readonly seats: Set<Seat>;
  readonly abort: AbortController;
}

/**
 * Shares one upstream stream among all watchers of a workflow, and each event's bytes among them.
 *
 * A watcher who has all that the shared stream has brought joins it at once. Any other first reads a stream of its own,
 * and changes over when it has caught up. Both streams are in the order of ids, each watcher's last id is known, and the
 * change happens between two events: so nothing is lost and nothing repeated.
 */
export function createEventHub(
  follow: (request: Pick<Follow, 'workflowId' | 'cursor' | 'metadata' | 'signal'>) => AsyncGenerator<Frame, State>,
  metrics: Pick<Metrics, 'upstreamStreams'>,
) {
  const shared = new Map<string, Source>();

  async function run(source: Source, watch: Watch): Promise<void> {
    metrics.upstreamStreams.inc();
    const frames = follow({ ...watch, signal: source.abort.signal });
    try {
      for (;;) {
        const next = await nextFrame(source, frames);
        if (next.done) return endAll(source, { state: next.value });
        deliver(source, next.value);
        settle(source, watch.workflowId);
        if (source.abort.signal.aborted) return;
        await keepPace(source, watch);
      }
    } catch (error) {
      endAll(source, { error });
    } finally {
      metrics.upstreamStreams.dec();
      close(source, watch.workflowId);
      frames.return('UNKNOWN').catch(() => {});
    }
  }

  /** Brings two streams of a workflow together where one has caught up with the other. */
  function settle(source: Source, workflowId: string): void {
    const target = shared.get(workflowId);
    // The last watcher may have left with this very event: a closed source must not become the shared one.
    if (target === source || source.seats.size === 0) return;
    if (!target) shared.set(workflowId, source);
    else if (source.delivered) {
      // A stream that has brought nothing tells nobody where it stands, and nobody should wait for another's replay.
      const leads = !target.delivered || (isHeldUp(target) && source.position! >= target.position!);
      if (leads) shared.set(workflowId, source);
      moveSeats(workflowId, leads ? target : source, leads ? source : target);
    }
  }

  function moveSeats(workflowId: string, from: Source, to: Source): void {
    if (to.waiting) return;
    for (const seat of from.seats) if (seat.last >= to.position!) sit(seat, to);
    if (from.seats.size === 0) close(from, workflowId);
  }

  // A replay goes at the pace of its only reader. Of several, those who are slow go on alone; live, they are cut off.
  async function keepPace(source: Source, watch: Watch): Promise<void> {
    const slow = new Map<Seat, Promise<void>>();
    for (const seat of source.seats) {
      const ready = seat.watcher.ready();
      if (ready) slow.set(seat, ready);
    }
    if (slow.size === 0 || (source.live && source.seats.size > 1)) return;
    if (source.seats.size === 1) {
      source.waiting = true;
      await Promise.all(slow.values());
      source.waiting = false;
      return;
    }
    const all = Promise.all([...slow].map(([seat, ready]) => ready.then(() => slow.delete(seat))));
    await Promise.race([all, sleep(PATIENCE_MS, undefined, { ref: false })]);
    for (const seat of slow.keys()) {
      if (source.seats.has(seat)) open({ ...watch, cursor: seat.last }, seat);
    }
    if (source.seats.size === 0) close(source, watch.workflowId);
  }

  function open(watch: Watch, seat: Seat): Source {
    const source: Source = {
      position: watch.cursor,
      frames: 0,
      delivered: false,
      live: false,
      waiting: false,
      changedAtMs: watch.changedAtMs,
      seats: new Set(),
      abort: new AbortController(),
    };
    sit(seat, source);
    void run(source, watch);
    return source;
  }

  function close(source: Source, workflowId: string): void {
    if (shared.get(workflowId) === source) shared.delete(workflowId);
    source.abort.abort();
  }

  return {
    /** Where the shared stream stands. Taken before the workflow is read, it makes what was read a snapshot. */
    mark(workflowId: string): Mark | undefined {
      const source = shared.get(workflowId);
      return source && { source, frames: source.frames };
    },

    /**
     * Starts watching, and returns what stops it. The last watcher to stop ends the upstream stream. `mark` with the
     * workflow as it was read after it lets a watcher without a cursor join when nothing has come in between.
     */
    watch(watch: Watch, watcher: Watcher, mark?: Mark & { readonly snapshot: () => Buffer }): () => void {
      const { workflowId, cursor } = watch;
      const target = shared.get(workflowId);
      const seat: Seat = { watcher, last: cursor ?? 0n, source: undefined };
      if (target && mayJoin(watch, target, mark)) {
        if (cursor === undefined) {
          seat.last = target.position ?? 0n;
          watcher.write(mark!.snapshot());
        }
        sit(seat, target);
      } else {
        const source = open(watch, seat);
        if (!target || knowsMore(source, target)) shared.set(workflowId, source);
      }
      return () => {
        const { source } = seat;
        if (source?.seats.delete(seat) && source.seats.size === 0) close(source, workflowId);
      };
    },
  };
}

type Frame = EventFrame | Gap;

function sit(seat: Seat, source: Source): void {
  seat.source?.seats.delete(seat);
  seat.source = source;
  source.seats.add(seat);
}

function mayJoin({ cursor }: Watch, target: Source, mark: Mark | undefined): boolean {
  if (target.waiting) return false;
  if (cursor === undefined) {
    // What is still being replayed is older than the snapshot.
    const untouched = mark?.source === target && mark.frames === target.frames;
    return untouched && target.live && (target.frames > 0 || target.position !== undefined);
  }
  // Cursor 0 may be answered with a snapshot, which only the first frame can be.
  if (target.position === undefined || (cursor === 0n && target.frames > 0)) return false;
  return target.live ? cursor >= target.position : cursor === target.position;
}

/** Whether a stream that has just been opened is a better place for those who come after it. */
function knowsMore(source: Source, target: Source): boolean {
  if (source.position === undefined) return target.waiting;
  return target.position === undefined || (isHeldUp(target) && source.position >= target.position);
}

/** Whether what happens now would come late: behind a replay, or behind a slow reader. */
function isHeldUp({ live, waiting }: Source): boolean {
  return !live || waiting;
}

async function nextFrame(source: Source, frames: AsyncGenerator<Frame, State>) {
  if (source.live) return frames.next();
  const timer = setTimeout(() => {
    source.live = true;
  }, LIVE_AFTER_MS);
  try {
    return await frames.next();
  } finally {
    clearTimeout(timer);
  }
}

function deliver(source: Source, frame: Frame): void {
  source.frames++;
  if ('oldest' in frame) deliverGap(source, frame.oldest);
  else if (frame.id === 0n) deliverSnapshot(source, frame);
  else deliverEvent(source, frame);
}

function deliverEvent(source: Source, frame: EventFrame): void {
  source.position = frame.id;
  source.delivered = true;
  // Both times are the orchestrator's: what is newer than the workflow was when it was read has happened since.
  if (source.changedAtMs !== undefined && frame.atMs !== undefined && frame.atMs > source.changedAtMs) {
    source.live = true;
  }
  for (const seat of source.seats) {
    if (frame.id <= seat.last) continue;
    seat.last = frame.id;
    seat.watcher.write(frame.bytes);
  }
}

/** For those who have nothing yet. */
function deliverSnapshot(source: Source, { bytes }: EventFrame): void {
  source.live = true;
  for (const { watcher, last } of source.seats) if (last === 0n) watcher.write(bytes);
}

/** For those who miss what is no longer stored. */
function deliverGap(source: Source, oldest: bigint): void {
  source.position = oldest - 1n;
  for (const seat of source.seats) {
    if (seat.last >= source.position) continue;
    seat.watcher.write(gapFrame(seat.last, oldest));
    seat.last = source.position;
  }
}

function endAll(source: Source, outcome: Outcome): void {
  for (const { watcher } of source.seats) watcher.end(outcome);
  source.seats.clear();
}
