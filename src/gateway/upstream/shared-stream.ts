import { type EventFrame, type Gap, gapFrame } from '../wire/sse.ts';
import type { State } from '../wire/workflow-json.ts';

/** How long readers who replay together wait in all for the slow ones among them, in milliseconds. */
export const PATIENCE_MS = 100;

export type Frame = EventFrame | Gap;

/** Somebody who watches one workflow. None of the functions may throw. */
export interface Watcher {
  readonly write: (bytes: Buffer) => void;
  /** Settles when the watcher can take more; undefined when it can already. */
  readonly ready: () => Promise<void> | undefined;
  /** Called once, last: the workflow's final state, or what made the stream impossible. */
  readonly end: (outcome: Outcome) => void;
}

export type Outcome = { readonly state: State } | { readonly error: unknown };

/** A watcher, the id of the last event that it has, and the stream that feeds it. */
export interface Seat {
  readonly watcher: Watcher;
  /** Undefined: nothing, or a snapshot. */
  last: bigint | undefined;
  /** It held others up in a replay, so it goes through that alone. */
  slow: boolean;
  stream: SharedStream | undefined;
}

/** One upstream stream and those it feeds. */
export interface SharedStream {
  /** It will bring every event with a higher id. Undefined: it began with a snapshot, which has no id. */
  position: bigint | undefined;
  /** The snapshot that it began with, until the first event. */
  snapshot: Buffer | undefined;
  /** How many frames have come, and whether one of them was a stored event. */
  frames: number;
  delivered: boolean;
  /** When the last event happened, by the orchestrator's clock, in milliseconds. */
  atMs: number | undefined;
  /** It brings what happens now, no longer what was stored before. */
  live: boolean;
  /** It stands still until its only watcher can take more. */
  waiting: boolean;
  /** What is left of the patience of those who replay together. */
  patienceMs: number;
  /** When the workflow had last changed before the stream was opened; undefined: not known, or long ago. */
  changedAtMs: number | undefined;
  readonly seats: Set<Seat>;
  readonly abort: AbortController;
}

export function createSharedStream(cursor: bigint | undefined, changedAtMs: number | undefined): SharedStream {
  return {
    position: cursor,
    snapshot: undefined,
    frames: 0,
    delivered: false,
    atMs: undefined,
    live: false,
    waiting: false,
    patienceMs: PATIENCE_MS,
    changedAtMs,
    seats: new Set(),
    abort: new AbortController(),
  };
}

/** Whether a watcher loses nothing at this stream, and neither waits for somebody's replay nor holds one up. */
export function suits({ position, live, waiting }: SharedStream, { last, slow }: Pick<Seat, 'last' | 'slow'>): boolean {
  if (position === undefined || last === undefined || waiting) return false;
  return live ? last >= position : last === position && !slow;
}

/** Seats a watcher at `stream`, away from the one where it sat. */
export function sit(seat: Seat, stream: SharedStream): void {
  seat.stream?.seats.delete(seat);
  seat.stream = stream;
  stream.seats.add(seat);
}

/** After a long wait for its reader a stream brings what is stored, again, until it falls silent. */
export function fallBehind(stream: SharedStream): void {
  stream.live = false;
  stream.changedAtMs = undefined;
}

/** Gives each watcher what it does not have yet. */
export function deliver(stream: SharedStream, frame: Frame): void {
  stream.frames++;
  if ('oldest' in frame) deliverGap(stream, frame);
  else if (frame.id === 0n) deliverUnstored(stream, frame);
  else deliverEvent(stream, frame);
}

function deliverEvent(stream: SharedStream, { id, atMs, bytes }: EventFrame): void {
  stream.position = id;
  stream.snapshot = undefined;
  stream.delivered = true;
  stream.atMs = atMs;
  // Both times are the orchestrator's: what is newer than the workflow was when it was read has happened since.
  if (stream.changedAtMs !== undefined && atMs !== undefined && atMs > stream.changedAtMs) stream.live = true;
  for (const seat of stream.seats) {
    if (seat.last !== undefined && id <= seat.last) continue;
    seat.last = id;
    seat.watcher.write(bytes);
  }
}

/** A snapshot, which begins a stream, also one from cursor 0 by the base contract; or news that nobody stores. */
function deliverUnstored(stream: SharedStream, { isSnapshot, bytes }: EventFrame): void {
  if (isSnapshot && !stream.delivered && !stream.position) {
    stream.position = undefined;
    stream.snapshot = bytes;
    stream.live = true;
    for (const seat of stream.seats) seat.last = undefined;
  }
  for (const { watcher } of stream.seats) watcher.write(bytes);
}

/** For those who miss what is no longer stored. */
function deliverGap(stream: SharedStream, { requested, oldest }: Gap): void {
  stream.position = oldest - 1n;
  for (const seat of stream.seats) {
    if (seat.last !== undefined && seat.last >= stream.position) continue;
    seat.watcher.write(gapFrame(seat.last ?? requested, oldest));
    seat.last = stream.position;
  }
}

export function endAll(stream: SharedStream, outcome: Outcome): void {
  for (const { watcher } of stream.seats) watcher.end(outcome);
  stream.seats.clear();
}
