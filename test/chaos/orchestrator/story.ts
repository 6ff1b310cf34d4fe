import { setTimeout as sleep } from 'node:timers/promises';
import type { EventSourceMessage } from 'eventsource-parser';
import { startResumingClient } from '../../support/resuming-client.ts';
import { createSeeded } from '../seeded.ts';
import { type Answer, createClient } from './client.ts';
import type { Order } from './plan.ts';

/** What a watcher saw of one event: whose it was and what had become of it. */
export interface Seen {
  readonly id: number;
  /** Undefined: the whole workflow's. */
  readonly step: string | undefined;
  readonly state: string;
}

/** All that a client did for one order, and what it saw. */
export interface Story {
  readonly order: Order;
  /** Undefined until there is one. */
  submitted: Answer | undefined;
  /** In the order in which they came. */
  readonly seen: Seen[];
  /** The states that the ends of streams told, one for each time that the workflow was over. */
  readonly ends: string[];
  cancelled: Answer | undefined;
  readonly retried: Answer[];
  /** What should not have come: other events, other statuses. */
  readonly oddities: string[];
  connections: number;
  /** Whether it came to its end. */
  isOver: boolean;
}

export interface StoryParts {
  readonly gateways: readonly string[];
  /** The URL of a balancer in front of the gateways, for what is watched. */
  readonly balancer: string;
  /** By caller. */
  readonly tokens: readonly string[];
  readonly stop: AbortSignal;
}

/** A stream, nothing more to come, and what a gateway says that drains, or whose orchestrator does not answer. */
const EXPECTED = [200, 204, 503, 504];
/** As often as a workflow may fail that is retried: the mock's faults are fewer. */
const MOST_RETRIES = 10;

export function createStory(order: Order): Story {
  const nothing = { submitted: undefined, cancelled: undefined, connections: 0, isOver: false };
  return { order, ...nothing, seen: [], ends: [], retried: [], oddities: [] };
}

/** Submits the order and watches what becomes of it, from its first event to its last, over as many connections as it takes. */
export async function live(story: Story, { gateways, balancer, tokens, stop }: StoryParts): Promise<void> {
  const { order } = story;
  const seeded = createSeeded(order.seed);
  const token = tokens[order.caller]!;
  const client = createClient({ gateways, token, seeded, stop });
  story.submitted = await client.submit(order);
  const { id, status } = story.submitted;
  if (status === 201 && id) {
    let cancelling: Promise<void> | undefined;
    for (;;) {
      await watch(id);
      await cancelling;
      if (order.ending !== 'is retried' || story.ends.at(-1) !== 'FAILED') break;
      const retried = await client.retry(id);
      story.retried.push(retried);
      if (!isRetried(retried) || story.retried.length === MOST_RETRIES) break;
    }

    async function cancel(): Promise<void> {
      story.cancelled = await client.cancel(id!);
    }

    async function watch(workflowId: string): Promise<void> {
      const watcher = startResumingClient({
        url: `${balancer}/v1/workflows/${workflowId}/events`,
        headers: { Authorization: `Bearer ${token}` },
        from: String(story.seen.at(-1)?.id ?? 0),
        // The server asks for seconds; a run that obeyed would mostly wait.
        retryMs: () => seeded.whole(20, 300),
        onEvent(event) {
          note(story, event);
          if (order.ending !== 'is cancelled' || cancelling || story.seen.length < order.cancelAfter) return;
          cancelling = cancel();
          cancelling.catch(() => {});
        },
      });
      stop.addEventListener('abort', watcher.stop, { once: true });
      try {
        await watcher.over;
      } finally {
        stop.removeEventListener('abort', watcher.stop);
        story.connections += watcher.statuses.length;
        const odd = new Set(watcher.statuses.filter((answer) => !EXPECTED.includes(answer)));
        story.oddities.push(...[...odd].map((answer) => `its watcher was answered with ${answer}`));
      }
    }
  }
  story.isOver = true;
}

/** Whether the workflow is open again. An attempt whose answer was lost may have done it, and then it is not FAILED any more. */
export function isRetried({ status, before }: Answer): boolean {
  return status === 200 || (status === 400 && before.length > 0);
}

/** Waits for its time, and lives. Rejects when it is stopped before its end. */
export async function liveAt(atMs: number, story: Story, parts: StoryParts): Promise<void> {
  await sleep(Math.max(0, atMs - performance.now()), undefined, { signal: parts.stop });
  await live(story, parts);
}

interface EventJson {
  readonly step_update?: { readonly step_id: string; readonly state: string };
  readonly workflow_update?: { readonly state: string };
  readonly state?: string;
  readonly retryable?: boolean;
}

export function note(story: Story, { id, event, data }: EventSourceMessage): void {
  const json = readJson(data);
  const change = json?.step_update ?? json?.workflow_update;
  if (id !== undefined && change && (event === 'step_update' || event === 'workflow_update')) {
    story.seen.push({ id: Number(id), step: json?.step_update?.step_id, state: change.state });
  } else if (event === 'end' && json?.state) {
    story.ends.push(json.state);
  } else if (event !== 'error' || !json?.retryable) {
    // Streams may end for want of an orchestrator, and say that they can be opened again.
    story.oddities.push(`its watcher got an event ${event} ${id ?? 'without an id'}: ${data.slice(0, 200)}`);
  }
}

function readJson(data: string): EventJson | undefined {
  try {
    return JSON.parse(data) as EventJson;
  } catch {
    return undefined;
  }
}
