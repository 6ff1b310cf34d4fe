import type { Api, Workflow } from '../api.ts';
import { applyAnswer, applyEvent, type Followed, isOver } from './apply-event.ts';
import { type Follower, type FollowStatus, followEvents } from './follow-events.ts';

interface TrackParts {
  readonly api: Pick<Api, 'getWorkflow' | 'openEvents'>;
  readonly workflowId: string;
  readonly onWorkflow: (workflow: Workflow) => void;
  readonly onStatus: (status: FollowStatus) => void;
  /** Why the workflow could not be read at all; undefined: it could. */
  readonly onFault: (fault: unknown) => void;
}

export interface WorkflowTracker {
  /** Takes in what a call has answered, and follows the workflow if it is open again. */
  readonly take: (answer: Workflow) => void;
  /** Tries again at once, whatever has failed. */
  readonly again: () => void;
  /** Makes sure that what is shown is still so, after nobody has looked for a while. */
  readonly wake: () => void;
  /** Holds no connection until it is woken. */
  readonly sleep: () => void;
  readonly close: () => void;
}

/** A burst of events is drawn once. */
const DRAW_EVERY_MS = 50;
/** An end of the stream that the workflow does not confirm is asked about again, but not all the time. */
const CHECK_EVERY_MS = 5_000;

/** Reads a workflow, and follows it for as long as something can happen to it by itself. */
export function trackWorkflow({ api, workflowId, onWorkflow, onStatus, onFault }: TrackParts): WorkflowTracker {
  const closed = new AbortController();
  let followed: Followed | undefined;
  let follower: Follower | undefined;
  let drawing: ReturnType<typeof setTimeout> | undefined;
  let checking: ReturnType<typeof setTimeout> | undefined;
  let checkedAt = Number.NEGATIVE_INFINITY;
  let isAsleep = false;

  function set(next: Followed): void {
    followed = next;
    drawing ??= setTimeout(draw, DRAW_EVERY_MS);
  }

  function draw(): void {
    clearTimeout(drawing);
    drawing = undefined;
    if (followed) onWorkflow(followed.workflow);
  }

  async function read(): Promise<void> {
    try {
      take(await api.getWorkflow(workflowId, { signal: closed.signal }));
    } catch (error) {
      if (closed.signal.aborted) return;
      if (!followed) onFault(error);
      else if (!follower && !isOver(followed.workflow)) check();
    }
  }

  /** Reads it at once, but soon after the last time only later. */
  function check(): void {
    const waitMs = checkedAt + CHECK_EVERY_MS - performance.now();
    clearTimeout(checking);
    if (waitMs > 0) {
      checking = setTimeout(check, waitMs);
      return;
    }
    checkedAt = performance.now();
    void read();
  }

  function take(answer: Workflow): void {
    if (closed.signal.aborted) return;
    onFault(undefined);
    set(applyAnswer(followed, answer));
    if (!isOver(followed!.workflow)) follow();
    else {
      draw();
      if (!follower) onStatus({ kind: 'over' });
    }
  }

  function follow(): void {
    follower ??= followEvents({
      openEvents: api.openEvents,
      workflowId,
      onEvent: (event) => followed && set(applyEvent(followed, event)),
      onStatus(status) {
        // Whoever reads that it is over also reads how it has ended.
        draw();
        onStatus(status);
        if (status.kind !== 'over' && status.kind !== 'failed') return;
        follower = undefined;
        // The stream has nothing more to say; whether it has said everything is what the workflow itself tells.
        if (status.kind === 'over' && !isOver(followed!.workflow)) check();
      },
    });
    if (isAsleep) follower.sleep();
  }

  void read();
  return {
    take,
    again() {
      if (follower) follower.reconnect();
      else void read();
    },
    wake() {
      isAsleep = false;
      // Somebody else may have retried it meanwhile.
      if (follower) follower.wake();
      else void read();
    },
    sleep() {
      isAsleep = true;
      follower?.sleep();
    },
    close() {
      closed.abort();
      clearTimeout(checking);
      follower?.stop();
      clearTimeout(drawing);
    },
  };
}
