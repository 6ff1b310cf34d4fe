import type { FollowClock } from '../../../console/src/workflow/follow-events.ts';

/** How one connection ends: after so many bytes it is closed, or breaks; undefined: it brings everything. */
export interface Cut {
  readonly bytes: number;
  readonly breaks: boolean;
}

interface EventServerOptions {
  /** The workflow has had so many events, with the ids from 1 on, and is over after the last one. */
  readonly events: number;
  /** Older events than this are no longer stored. */
  readonly oldest?: number;
  /** One for each connection, in order; those after the last one are not cut. */
  readonly cuts: readonly Cut[];
  /** How many bytes come in one piece. */
  readonly pieceBytes?: number;
}

/** A stream that does what openapi.yaml says of streamWorkflowEvents, with every connection cut as it was told. */
export function createEventServer({ events, oldest = 1, cuts, pieceBytes = 64 }: EventServerOptions) {
  const cursors: (string | undefined)[] = [];
  return {
    /** What each connection asked to go on from. */
    cursors,
    async openEvents(
      _id: string,
      { lastEventId }: { readonly lastEventId?: string | undefined } = {},
    ): Promise<Response> {
      const cut = cuts[cursors.length];
      cursors.push(lastEventId);
      if (lastEventId !== undefined && Number(lastEventId) >= events) return new Response(null, { status: 204 });
      const bytes = new TextEncoder().encode(streamText(events, oldest, lastEventId));
      return new Response(bodyOf(bytes, cut, pieceBytes));
    },
  };
}

/** The snapshot of a fresh stream is as old as the workflow may be: half of its events are still to come. */
function streamText(events: number, oldest: number, cursor: string | undefined): string {
  const after = cursor === undefined ? Math.floor(events / 2) : Number(cursor);
  const first = Math.max(after + 1, cursor === undefined ? 1 : oldest);
  const opening =
    cursor === undefined
      ? `\nevent: workflow_update\ndata: ${JSON.stringify({ workflow_update: { done: after } })}\n\n`
      : first > after + 1
        ? `\nevent: gap\ndata: ${JSON.stringify({ requested: after, oldest })}\n\n`
        : '';
  const ids = Array.from({ length: events - first + 1 }, (_, index) => first + index);
  const frames = ids.map((id) => {
    const data = JSON.stringify({ step_update: { step_id: `ß-${id} 🧬` } });
    return `id: ${id}\r\nevent: step_update\r\ndata: ${data}\r\n\r\n: noise\n\nevent: heartbeat\ndata: {}\n\n`;
  });
  return `retry: 1500\n${opening}${frames.join('')}event: end\ndata: {"state":"SUCCEEDED"}\n\n`;
}

function bodyOf(bytes: Uint8Array, cut: Cut | undefined, pieceBytes: number): ReadableStream<Uint8Array> {
  const end = Math.min(bytes.length, cut?.bytes ?? bytes.length);
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent < end) {
        const next = Math.min(end, sent + pieceBytes);
        controller.enqueue(bytes.slice(sent, next));
        sent = next;
      } else if (cut?.breaks) controller.error(new TypeError('network error'));
      else controller.close();
    },
  });
}

/** A clock that stands still until it is told how far to go. */
export function createManualClock() {
  let time = 0;
  const timers = new Set<{ readonly at: number; readonly call: () => void }>();
  const clock: FollowClock = {
    now: () => time,
    after(ms, call) {
      const timer = { at: time + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  return {
    clock,
    /** Calls what is due until then, each at its time. */
    async pass(ms: number): Promise<void> {
      const end = time + ms;
      for (;;) {
        await settle();
        const due = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (!due) break;
        timers.delete(due);
        time = due.at;
        due.call();
      }
      time = end;
    },
    pending: () => timers.size,
  };
}

/** Everything that can happen without time passing has happened. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
