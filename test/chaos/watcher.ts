import type { EventSourceMessage } from 'eventsource-parser';
import { startResumingClient } from '../support/resuming-client.ts';
import { checkHistory } from './history.ts';
import { sampleText } from './sample-text.ts';
import type { Seeded } from './seeded.ts';

/** So many faults of one client are told; the rest is counted. */
const TOLD = 5;
/** What a gateway that drains, or has just lost its orchestrator, answers. */
const UNAVAILABLE = 503;

export type Watcher = ReturnType<typeof startWatcher>;

interface WatcherOptions {
  readonly name: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The id of the last event, the workflow's end. */
  readonly total: number;
  readonly seeded: Seeded;
}

/** A client that wants every event from the first, comes back at once however it is thrown out, and checks all it gets. */
export function startWatcher({ name, url, headers, total, seeded }: WatcherOptions) {
  const ids: number[] = [];
  const faults: string[] = [];
  const client = startResumingClient({
    url,
    headers,
    from: '0',
    // The server asks for seconds; a run that obeyed would mostly wait.
    retryMs: () => seeded.whole(5, 40),
    onEvent(event) {
      const fault = event.id === undefined ? checkUnnumbered(event) : checkStored(event, total);
      if (fault) faults.push(fault);
      if (event.id !== undefined) ids.push(Number(event.id));
    },
  });

  return {
    over: client.over,
    stop: client.stop,
    lastId: () => ids.at(-1) ?? 0,
    connections: () => client.statuses.length,
    /** One line for each thing that went wrong. */
    failures(): string[] {
      const odd = client.statuses.filter((status) => status !== 200 && status !== 204 && status !== UNAVAILABLE);
      const all = [...odd.map((status) => `was answered with ${status}`), ...faults, ...checkHistory(ids, total)];
      const untold = all.length > TOLD ? [`and ${all.length - TOLD} more`] : [];
      return [...all.slice(0, TOLD), ...untold].map((fault) => `${name}: ${fault}`);
    },
  };
}

function checkUnnumbered({ event, data }: EventSourceMessage): string | undefined {
  if (event === 'end' && data === '{"state":"SUCCEEDED"}') return undefined;
  return `an event ${event} without an id: ${data.slice(0, 200)}`;
}

function checkStored({ id, event, data }: EventSourceMessage, total: number): string | undefined {
  const last = Number(id) === total;
  if (event !== (last ? 'workflow_update' : 'step_update')) return `event ${id} is a ${event}`;
  try {
    const body = JSON.parse(data);
    const intact = last
      ? body.workflow_update.state === 'SUCCEEDED'
      : body.step_update.sequences[0].fasta === sampleText(Number(id));
    return intact ? undefined : `event ${id} holds what is not its own: ${data.slice(0, 200)}`;
  } catch {
    return `event ${id} is torn: ${data.slice(0, 200)}`;
  }
}
