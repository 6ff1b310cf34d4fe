import { connect } from 'node:net';
import { answerMessages } from './answer-messages.ts';
import { readSharedClockMs } from './shared-clock.ts';
import { quantile } from './tally.ts';

// Thousands of readers of Server-Sent Events in one process. They must cost little beside the program under test, so
// they are bare sockets that share one buffer, and count events by their first line instead of reading them.

/** What the benchmark asks of it: to open watchers, spread evenly over the workflows, or only to count. */
export type WatchersMessage =
  | { readonly open: { readonly port: number; readonly workflowIds: readonly string[]; readonly watchers: number } }
  | { readonly count: true }
  /** How long the last events took that came, which were sent at these times, in turn over the workflows. */
  | { readonly delays: { readonly emittedAtMs: readonly number[]; readonly workflows: number } };

export interface WatchersAnswer {
  /** Step updates that came: to all watchers together, and to the one who got least and the one who got most. */
  readonly delivered: number;
  readonly least: number;
  readonly most: number;
  /** Why the first of the watchers whose stream broke off lost it. */
  readonly broken: string | undefined;
  /** From when an event was sent until it was here, in milliseconds; 0 unless it was asked for. */
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
}

interface Watcher {
  /** Which of the workflows it watches. */
  readonly workflow: number;
  /** When each event came, by the shared clock. */
  readonly cameAtMs: number[];
  /** The end of what came before, where a mark may have begun. */
  tail: string;
}

/** Every event has one such line, whatever the order of its lines. */
const EVENT_LINE = '\nevent: step_update\n';
const SNAPSHOT_LINE = '\nevent: workflow_update\n';
const CONNECTING_AT_ONCE = 100;
// Each read is looked at before the next one comes, so all sockets can share the buffer.
const READ_BUFFER = Buffer.alloc(64 * 1024);

const watchers: Watcher[] = [];
let broken: string | undefined;

/** Settles when the stream is open and its snapshot has come. */
function openWatcher(port: number, workflow: number, workflowId: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher: Watcher = { workflow, cameAtMs: [], tail: '' };
    watchers.push(watcher);
    let opening: string | undefined = '';
    const read = (bytes: Buffer) => {
      count(watcher, bytes);
      if (opening === undefined) return;
      opening += bytes.toString('latin1');
      if (!opening.startsWith('HTTP/1.1 200 ')) fail(`the answer is ${opening}`);
      else if (opening.includes(SNAPSHOT_LINE)) {
        opening = undefined;
        resolve();
      }
    };
    const fail = (reason: string) => {
      broken ??= reason;
      reject(new Error(`cannot watch ${workflowId}: ${reason}`));
    };
    const callback = (length: number, buffer: Uint8Array) => {
      read((buffer as Buffer).subarray(0, length));
      return true;
    };
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: READ_BUFFER, callback } });
    socket.on('connect', () => {
      socket.write(
        `GET /v1/workflows/${workflowId}/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
          'Authorization: Bearer dev-token\r\nAccept: text/event-stream\r\n\r\n',
      );
    });
    socket.on('error', (error) => fail(error.message));
    socket.on('close', () => fail('the connection was closed'));
  });
}

function count(watcher: Watcher, bytes: Buffer): void {
  const atMs = readSharedClockMs();
  const seam = watcher.tail + bytes.toString('latin1', 0, EVENT_LINE.length - 1);
  if (seam.includes(EVENT_LINE)) watcher.cameAtMs.push(atMs);
  for (let at = bytes.indexOf(EVENT_LINE); at >= 0; at = bytes.indexOf(EVENT_LINE, at + EVENT_LINE.length - 1)) {
    watcher.cameAtMs.push(atMs);
  }
  const end = bytes.toString('latin1', Math.max(0, bytes.length - EVENT_LINE.length + 1));
  watcher.tail = (watcher.tail + end).slice(1 - EVENT_LINE.length);
}

/** Sorted. Each workflow's last events are the ones that were sent at `emittedAtMs`. */
function readDelays({ emittedAtMs, workflows }: { emittedAtMs: readonly number[]; workflows: number }): Float64Array {
  const each = emittedAtMs.length / workflows;
  const delaysMs = watchers.flatMap(({ workflow, cameAtMs }) =>
    cameAtMs.slice(-each).map((atMs, index) => atMs - emittedAtMs[index * workflows + workflow]!),
  );
  return Float64Array.from(delaysMs).sort();
}

answerMessages<WatchersMessage>(async (message): Promise<WatchersAnswer> => {
  if ('open' in message) {
    const { port, workflowIds, watchers } = message.open;
    let next = 0;
    const openSome = async () => {
      while (next < watchers) {
        const workflow = next++ % workflowIds.length;
        await openWatcher(port, workflow, workflowIds[workflow]!);
      }
    };
    await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, openSome));
  }
  const delaysMs = 'delays' in message ? readDelays(message.delays) : [];
  const events = watchers.map(({ cameAtMs }) => cameAtMs.length);
  const delivered = events.reduce((sum, each) => sum + each, 0);
  return {
    delivered,
    least: Math.min(...events),
    most: Math.max(...events),
    broken,
    delayP50Ms: quantile(delaysMs, 0.5),
    delayP99Ms: quantile(delaysMs, 0.99),
  };
});
