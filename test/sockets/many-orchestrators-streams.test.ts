import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { ADMIN, startTestGateway } from '../support/gateway.ts';
import { type ManyOrchestrators, startManyOrchestrators } from '../support/many-orchestrators.ts';
import { startSilenceableProxy } from '../support/many-orchestrators-silence.ts';
import { startReplica } from '../support/replica.ts';
import { startResumingClient } from '../support/resuming-client.ts';
import { until } from '../support/waiting.ts';

/** The time between two events of a workflow, in milliseconds. */
const PACE_MS = 10;
/** So many events may be made, which takes longer on a busy machine, while somebody hears of none. */
const LONGEST_PAUSE = 1_300 / PACE_MS;
const WORKFLOWS = ['wf-1', 'wf-2', 'wf-3', 'wf-4'];
const CLIENTS_EACH = 3;

/** Workflows with an event every few milliseconds, until they are finished; and clients that watch them over a gateway. */
function startWatching(test: TestContext, orchestrators: ManyOrchestrators, gatewayUrl: string) {
  let made = 0;
  for (const id of WORKFLOWS) orchestrators.put(id, JobState.RUNNING);
  const clients = WORKFLOWS.flatMap((id) =>
    Array.from({ length: CLIENTS_EACH }, () => {
      const ids: string[] = [];
      let madeBefore: number | undefined;
      let longestPause = 0;
      const client = startResumingClient({
        url: `${gatewayUrl}/v1/workflows/${id}/events`,
        headers: ADMIN,
        from: '0',
        retryMs: (askedMs) => askedMs ?? 1_000,
        onEvent: (event) => {
          if (event.id === undefined) return;
          longestPause = Math.max(longestPause, made - (madeBefore ?? made));
          madeBefore = made;
          ids.push(event.id);
        },
      });
      return { ...client, ids, longestPause: () => longestPause };
    }),
  );
  let isFinishing = false;
  const making = (async () => {
    for (; !isFinishing; made++) {
      for (const id of WORKFLOWS) orchestrators.stepUpdate(id, 0.5);
      await sleep(PACE_MS);
    }
  })();
  test.after(() => {
    isFinishing = true;
    for (const client of clients) client.stop();
  });

  return {
    /** Waits until every client has more than there is now. */
    async catchUp(boundMs?: number): Promise<void> {
      // One may be on its way already.
      const wanted = made + 2;
      const isThere = () => clients.every(({ ids }) => Number(ids.at(-1) ?? 0) >= wanted);
      await until(`all have event ${wanted}`, isThere, boundMs);
    },

    /** Ends the workflows, and checks that each client has every event once, over one connection. */
    async finish(): Promise<void> {
      isFinishing = true;
      await making;
      for (const id of WORKFLOWS) orchestrators.workflowUpdate(id, JobState.SUCCEEDED);
      await Promise.all(clients.map(({ over }) => over));
      const all = Array.from({ length: made + 1 }, (_, index) => String(index + 1));
      for (const { ids, statuses } of clients) {
        assert.deepEqual(ids, all);
        assert.deepEqual(statuses, [200], 'nobody had to come back');
      }
    },

    /** In events that were made meanwhile. */
    longestPause: () => Math.max(...clients.map((client) => client.longestPause())),
  };
}

const openStreams = (orchestrators: ManyOrchestrators) => [0, 1].map((index) => orchestrators.at(index).openStreams());

describe('event streams over a gateway to two orchestrators', () => {
  it('go on at the other one when theirs is killed', async (test) => {
    const orchestrators = await startManyOrchestrators(2, { replay: true });
    const gateway = await startReplica({ ORCHESTRATOR_ENDPOINT: orchestrators.endpoint });
    test.after(async () => {
      await gateway.end('SIGKILL');
      await orchestrators.close();
    });
    const url = `http://127.0.0.1:${gateway.port()}`;
    // Whoever comes first finds one of them connected, or both.
    await until('it is ready', async () => (await fetch(`${url}/v1/readyz`)).status === 200);
    const watching = startWatching(test, orchestrators, url);
    await watching.catchUp();

    // Whichever has streams; the first one has them all when the second was connected later.
    for (let round = 0; round < 4; round++) {
      const [first, second] = openStreams(orchestrators) as [number, number];
      const victim = first >= second ? 0 : 1;
      assert.ok(Math.max(first, second) > 0, 'it has streams');
      await orchestrators.kill(victim);
      await watching.catchUp();
      await orchestrators.restart(victim);
    }
    await watching.finish();
    test.diagnostic(`the longest pause was one of ${watching.longestPause()} events`);
    assert.ok(watching.longestPause() < LONGEST_PAUSE, `a pause of ${watching.longestPause()} events`);
  });

  it('are shared out among both', async (test) => {
    const orchestrators = await startManyOrchestrators(2, { replay: true });
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: orchestrators.endpoint });
    test.after(async () => {
      await gateway.close();
      await orchestrators.close();
    });
    const stops: (() => void)[] = [];
    test.after(() => {
      for (const stop of stops) stop();
    });
    const open = async (id: string) => {
      orchestrators.put(id, JobState.RUNNING);
      const before = openStreams(orchestrators);
      const url = `${gateway.url}/v1/workflows/${id}/events`;
      stops.push(startResumingClient({ url, headers: ADMIN, retryMs: () => 1_000, onEvent: () => {} }).stop);
      await until('it is open', () => openStreams(orchestrators).join() !== before.join());
    };
    for (let index = 0; index < 21; index++) await open(`shared-${index}`);
    const [first, second] = openStreams(orchestrators) as [number, number];
    assert.ok(Math.abs(first - second) <= 1, `${first} and ${second}`);
  });

  it('leave one that has fallen silent, once calls to it get no answer', async (test) => {
    const orchestrators = await startManyOrchestrators(2, { replay: true });
    const proxy = await startSilenceableProxy(orchestrators.at(0).port);
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: `${proxy.endpoint},${orchestrators.at(1).endpoint}`,
      ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '0.5',
    });
    test.after(async () => {
      await gateway.close();
      await proxy.close();
      await orchestrators.close();
    });
    const watching = startWatching(test, orchestrators, gateway.url);
    await watching.catchUp();
    await until('there are streams at the first', async () => {
      if (orchestrators.at(0).openStreams() > 0) return true;
      orchestrators.at(1).dropConnections();
      await watching.catchUp();
      return false;
    });
    proxy.fallSilent();
    let isOver = false;
    const calls = (async () => {
      while (!isOver) await gateway.request('/v1/workflows').then((response) => response.text());
    })();
    await watching.catchUp(12_000);
    isOver = true;
    await calls;
    await watching.finish();
    test.diagnostic(`the longest pause was one of ${watching.longestPause()} events`);
  });
});
