import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorEvent, EventSource } from 'eventsource';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { type Replica, startReplica } from '../support/replica.ts';
import { startResumingClient } from '../support/resuming-client.ts';
import { startTcpCable, type TcpCable } from '../support/tcp-cable.ts';
import { until, within } from '../support/waiting.ts';

const ADMIN = { Authorization: 'Bearer dev-token' };
/** The time between two events, in milliseconds. */
const PACE_MS = 10;
/** Longer than a `retry:` may ask for, and a start after it. */
const BACK_MS = 15_000;

/** What is the same about every client that has to see each event once. */
interface Client {
  readonly ids: readonly string[];
  /** How many streams it was given. */
  readonly opened: () => number;
  /** The answers that were no stream. */
  readonly refusals: () => readonly number[];
  readonly over: () => boolean;
  readonly stop: () => void;
}

describe('streams of two replicas behind a plain TCP balancer', () => {
  let orchestrator: FakeOrchestrator;
  let balancer: TcpCable;
  let replicas: Replica[];
  const clients: Client[] = [];
  let stopped = false;
  before(async () => {
    orchestrator = await startFakeOrchestrator({ replay: true });
    const settings = { ORCHESTRATOR_ENDPOINT: orchestrator.endpoint, SHUTDOWN_DELAY_SECONDS: '0.5' };
    replicas = await Promise.all([startReplica(settings), startReplica(settings)]);
    balancer = await startTcpCable(() => replicas.map(({ port }) => port()));
  });
  after(async () => {
    stopped = true;
    for (const client of clients) client.stop();
    await Promise.all(replicas.map((replica) => replica.end('SIGTERM')));
    await Promise.all([balancer.close(), orchestrator.close()]);
  });

  /** A workflow with an event every few milliseconds, until it is finished. */
  function startWorkflow() {
    const { id } = orchestrator.put({ spec: { name: 'rolled' }, state: JobState.RUNNING });
    const url = `http://127.0.0.1:${balancer.port}/v1/workflows/${id}/events`;
    let made = 0;
    let finishing = false;
    const making = (async () => {
      for (; !finishing && !stopped; made++) {
        orchestrator.stepUpdate(id, { stepId: 'fold', fraction: 0.5 });
        await sleep(PACE_MS);
      }
    })();
    return {
      watch(count: number): Client[] {
        const own = Array.from({ length: count }, (_, index) => (index % 2 ? watchByHand(url) : watchAsBrowser(url)));
        clients.push(...own);
        return own;
      },
      made: () => made,
      /** Makes the last event, and answers with the ids of all. */
      async finish(): Promise<string[]> {
        finishing = true;
        await making;
        orchestrator.workflowUpdate(id, JobState.SUCCEEDED);
        return Array.from({ length: made + 1 }, (_, index) => String(index + 1));
      },
    };
  }

  async function catchUp(watching: readonly Client[], id: number): Promise<void> {
    const settled = ({ ids, refusals }: Client) => refusals().length > 0 || Number(ids.at(-1) ?? 0) >= id;
    await until(`all have event ${id}`, () => watching.every(settled), BACK_MS);
    for (const { refusals } of watching) assert.deepEqual(refusals(), [], 'nobody was refused');
  }

  async function checkAll(watching: readonly Client[], ids: readonly string[]): Promise<void> {
    await until('all are told that it is over', () => watching.every(({ over }) => over()), BACK_MS);
    for (const client of watching) assert.deepEqual(client.ids, ids);
  }

  it('bring every id once while the replicas are restarted one after the other', async () => {
    const workflow = startWorkflow();
    const watching = workflow.watch(6);
    await catchUp(watching, 10);
    for (const replica of replicas) await replica.restart('SIGTERM');
    await catchUp(watching, workflow.made());
    await checkAll(watching, await workflow.finish());
    for (const { opened } of watching) assert.ok(opened() >= 2, 'its replica was restarted under it');
  });

  it('bring every id once to those who come while a replica drains', async () => {
    const workflow = startWorkflow();
    const [replica] = replicas as [Replica];
    const url = `http://127.0.0.1:${replica.port()}/v1/readyz`;
    const restarted = replica.restart('SIGTERM');
    await until('it drains', async () => (await fetch(url)).status === 503);
    const watching = workflow.watch(6);
    await within('it is back', restarted, BACK_MS);
    await catchUp(watching, workflow.made());
    await checkAll(watching, await workflow.finish());
  });
});

/** A client as browsers have it: it waits as `retry:` says, and gives up for good on an answer that is no stream. */
function watchAsBrowser(url: string): Client {
  const ids: string[] = [];
  const refusals: number[] = [];
  let opened = 0;
  let over = false;
  const source = new EventSource(`${url}?last_event_id=0`, {
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...ADMIN } }),
  });
  for (const name of ['step_update', 'workflow_update']) {
    source.addEventListener(name, ({ lastEventId }) => ids.push(lastEventId));
  }
  source.addEventListener('open', () => opened++);
  source.addEventListener('error', ({ code }: ErrorEvent) => {
    if (code === 204) over = true;
    else if (code !== undefined) refusals.push(code);
  });
  source.addEventListener('end', () => {
    over = true;
    source.close();
  });
  return { ids, opened: () => opened, refusals: () => refusals, over: () => over, stop: () => source.close() };
}

function watchByHand(url: string): Client {
  const ids: string[] = [];
  let over = false;
  const client = startResumingClient({
    url,
    headers: ADMIN,
    from: '0',
    retryMs: (askedMs) => askedMs ?? 1_000,
    onEvent: ({ id }) => void (id !== undefined && ids.push(id)),
  });
  client.over.then(
    () => {
      over = true;
    },
    () => {},
  );
  return {
    ids,
    opened: () => client.statuses.filter((status) => status === 200).length,
    refusals: () => client.statuses.filter((status) => status !== 200 && status !== 204),
    over: () => over,
    stop: client.stop,
  };
}
