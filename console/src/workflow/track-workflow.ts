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
  readonly close: () => void;
}

/** A burst of events is drawn once. */
const DRAW_EVERY_MS = 50;

/** Reads a workflow, and follows it for as long as something can happen to it by itself. */
export function trackWorkflow({ api, workflowId, onWorkflow, onStatus, onFault }: TrackParts): WorkflowTracker {
  const closed = new AbortController();
  let followed: Followed | undefined;
  let follower: Follower | undefined;
  let drawing: ReturnType<typeof setTimeout> | undefined;

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
      if (!closed.signal.aborted && !followed) onFault(error);
    }
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
        if (status.kind === 'over' && !isOver(followed!.workflow)) void read();
      },
    });
  }

  void read();
  return {
    take,
    again() {
      if (follower) follower.reconnect();
      else void read();
    },
    wake() {
      // Somebody else may have retried it meanwhile.
      if (follower) follower.wake();
      else void read();
    },
    close() {
      closed.abort();
      follower?.stop();
      clearTimeout(drawing);
    },
  };
}
