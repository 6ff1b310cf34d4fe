import { type Api, ApiFault, type ErrorBody, faultOf, type WorkflowEvent } from '../api.ts';
import { readStream } from './read-stream.ts';

/** What the follower is doing, for people: a fault says why it waits or has given up. */
export type FollowStatus =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'reconnecting'; readonly fault: ApiFault; readonly waitMs: number }
  | { readonly kind: 'over' }
  | { readonly kind: 'failed'; readonly fault: ApiFault };

export interface FollowParts {
  readonly openEvents: Api['openEvents'];
  readonly workflowId: string;
  /** Every event once and in order. One that opens a fresh stream has no id: it is the workflow as it is. */
  readonly onEvent: (event: WorkflowEvent) => void;
  readonly onStatus: (status: FollowStatus) => void;
  readonly clock?: FollowClock;
  /** 0 to 1. */
  readonly random?: () => number;
}

export interface FollowClock {
  /** Milliseconds. */
  readonly now: () => number;
  /** Calls once after so many milliseconds; the answer takes that back. */
  readonly after: (ms: number, call: () => void) => () => void;
}

export interface Follower {
  /** Does not wait any longer, and does not trust a stream that has been silent. */
  readonly wake: () => void;
  /** Opens the stream anew where it is: the network has changed. */
  readonly reconnect: () => void;
  /** Lets go of the connection until it is woken: a browser has six to a host over HTTP/1.1, for all of its tabs. */
  readonly sleep: () => void;
  readonly stop: () => void;
}

/** A heartbeat fills 15 s of silence. Two that are missing mean that the connection is dead. */
export const STALL_MS = 35_000;
const FRESH_MS = 20_000;
const SHORTEST_RETRY_MS = 500;
const FIRST_RETRY_MS = 3_000;
const LONGEST_BACKOFF_MS = 30_000;

const WALL_CLOCK: FollowClock = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * Follows a workflow's event stream (openapi.yaml, streamWorkflowEvents) until the workflow is over, through any number
 * of lost connections: it comes back with the id of the last event that it has passed on.
 */
export function followEvents(parts: FollowParts): Follower {
  const { openEvents, workflowId, onEvent, onStatus, clock = WALL_CLOCK, random = Math.random } = parts;
  const stopped = new AbortController();
  let cursor: string | undefined;
  let retryMs = FIRST_RETRY_MS;
  let failures = 1;
  let heardAt = clock.now();
  let connection = new AbortController();
  let endWait = () => {};
  let isAsleep = false;
  let awake = Promise.withResolvers<void>();
  awake.resolve();

  /** Resolves when the workflow is over; throws an ApiFault when the stream is lost, and whatever `onEvent` throws. */
  async function readOnce(): Promise<'over' | 'gap'> {
    connection = new AbortController();
    const signal = AbortSignal.any([stopped.signal, connection.signal]);
    let endWatch = () => {};
    const heard = () => {
      heardAt = clock.now();
      endWatch();
      endWatch = clock.after(STALL_MS, () => connection.abort(lost('The server has fallen silent.')));
    };
    heard();
    try {
      const response = await openEvents(workflowId, { lastEventId: cursor, signal });
      if (response.status === 204) return 'over';
      failures = 0;
      onStatus({ kind: 'live' });
      for await (const message of readStream(response, { signal, heard, onRetry: setRetry })) {
        if (message.type === 'end') return 'over';
        if (message.type === 'gap' && cursor !== undefined) return 'gap';
        if (message.type === 'error') throw toLoss(faultOf(JSON.parse(message.data) as ErrorBody));
        if (message.type !== 'step_update' && message.type !== 'workflow_update') continue;
        if (!isNews(message.id)) continue;
        onEvent(JSON.parse(message.data) as WorkflowEvent);
        cursor = message.id ?? cursor;
      }
      // A server that shuts down ends its streams, to be resumed at the next one.
      throw lost('The server ended the stream.');
    } finally {
      endWatch();
      // Closes the connection, if it is still there.
      connection.abort(lost('The stream is no longer read.'));
    }
  }

  function setRetry(ms: number): void {
    retryMs = Math.max(ms, SHORTEST_RETRY_MS);
  }

  function isNews(id: string | undefined): boolean {
    return id === undefined || cursor === undefined || BigInt(id) > BigInt(cursor);
  }

  async function run(): Promise<void> {
    onStatus({ kind: 'connecting' });
    for (;;) {
      do await awake.promise;
      while (isAsleep);
      if (stopped.signal.aborted) return;
      try {
        if ((await readOnce()) === 'over') return onStatus({ kind: 'over' });
        // Without a cursor the stream opens with the workflow as it is, which fills any gap.
        cursor = undefined;
      } catch (error) {
        if (stopped.signal.aborted) return;
        if (error === LET_GO) {
          onStatus({ kind: 'connecting' });
          continue;
        }
        const fault = toFault(error);
        if (!canHelp(fault)) return onStatus({ kind: 'failed', fault });
        const waitMs = failures === 0 ? retryMs : backoffMs(failures, fault, random);
        failures++;
        onStatus({ kind: 'reconnecting', fault, waitMs });
        await wait(waitMs);
      }
    }
  }

  async function wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(ms, resolve);
    endWait = () => {
      cancel();
      resolve();
    };
    await promise;
    endWait = () => {};
  }

  const reconnect = () => {
    connection.abort(lost('The network has changed.'));
    endWait();
  };
  const rouse = () => {
    isAsleep = false;
    awake.resolve();
  };
  void run();
  return {
    wake() {
      rouse();
      if (clock.now() - heardAt > FRESH_MS) reconnect();
      else endWait();
    },
    reconnect,
    sleep() {
      if (isAsleep) return;
      isAsleep = true;
      awake = Promise.withResolvers();
      connection.abort(LET_GO);
    },
    stop() {
      stopped.abort();
      rouse();
      endWait();
    },
  };
}

const LET_GO = lost('Nobody looks.');

function lost(message: string): ApiFault {
  return new ApiFault({ status: 0, code: 'NETWORK', message, retryable: true });
}

/** A stream that cannot be read is a stream that was lost. */
function toFault(error: unknown): ApiFault {
  return error instanceof ApiFault ? error : lost(error instanceof Error ? error.message : String(error));
}

/** A credential that is refused in the middle is refused again when the stream is opened, and that ends the session. */
function toLoss(fault: ApiFault): ApiFault {
  return fault.status === 401 ? lost(fault.message) : fault;
}

/** A server that is broken now may be well later; a refusal stays one. */
function canHelp({ status, retryable }: ApiFault): boolean {
  return retryable || (status >= 500 && status !== 501);
}

/**
 * From 1 s doubling to 30 s, on top of what the server asked for. Half of it is random, so that the readers of a server
 * that was away do not come back together.
 */
function backoffMs(failures: number, { retryAfterSeconds = 0 }: ApiFault, random: () => number): number {
  const longestMs = Math.min(LONGEST_BACKOFF_MS, 1_000 * 2 ** (failures - 1));
  return retryAfterSeconds * 1_000 + longestMs * (0.5 + random() / 2);
}
