import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startFakeOrchestratorProcess } from '../support/fake-orchestrator-process.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { readEndpointCounts } from '../support/many-orchestrators.ts';
import { startResumingClient } from '../support/resuming-client.ts';
import { until } from '../support/waiting.ts';

const ID = 'wf-1';
const PATH = `/v1/workflows/${ID}`;
const RPC_TIMEOUT_MS = 4_000;
/**
 * From when the orchestrator is back to the beginning of the first request that is answered well. `npm run chaos:upstreams`
 * demands two seconds, on a machine that has nothing else to do.
 */
const BACK_WITHIN_MS = 5_000;
/** What a refusal takes at most on a machine that is busy with other tests. That it is 503 and not 504 says that nobody waited. */
const AT_ONCE_MS = 3_000;
/** In which a machine that is busy with other tests gets done what has no bound of its own. */
const SETTLED_MS = 30_000;
/** More say no more, and a machine that is busy with other tests would never be done with them. */
const MOST_PENDING = 30;
/** What was asked so shortly before the orchestrator was back may be answered well. */
const MARGIN_MS = 250;
/** So many refusals must have been seen. */
const REFUSED = 20;

const startGateway = (endpoint: string) =>
  startTestGateway({
    ORCHESTRATOR_ENDPOINT: endpoint,
    ORCHESTRATOR_RPC_TIMEOUT_SECONDS: String(RPC_TIMEOUT_MS / 1_000),
  });

interface Outcome {
  readonly beganAt: number;
  readonly tookMs: number;
  readonly status: number;
  readonly retryAfter: string | null;
}

/** Reads of the workflow, one begun every few milliseconds whether or not the few before it have ended, until `stop`. */
function startLoad(gateway: TestGateway) {
  const outcomes: Outcome[] = [];
  const pending = new Set<Promise<void>>();
  let isOver = false;
  const running = (async () => {
    for (; !isOver; await sleep(25)) {
      if (pending.size >= MOST_PENDING) continue;
      const beganAt = performance.now();
      const asked = gateway.request(PATH).then(async (response) => {
        const body = await response.text();
        const { status, headers } = response;
        // That is the gateway on a machine that is busy with other tests, and not the orchestrator.
        if (body.includes('"OVERLOADED"')) return;
        const tookMs = performance.now() - beganAt;
        outcomes.push({ beganAt, tookMs, status, retryAfter: headers.get('retry-after') });
      });
      pending.add(asked);
      asked.finally(() => pending.delete(asked));
    }
    await Promise.all(pending);
  })();

  const between = (fromMs: number, toMs: number) =>
    outcomes.filter(({ beganAt }) => beganAt > fromMs && beganAt < toMs);

  return {
    outcomes,
    isRefused: () => outcomes.at(-1)?.status === 503,
    /** Waits until reads are answered well again, and checks how soon that was. Resolves with the milliseconds. */
    async untilBack(backAt: number): Promise<number> {
      let first: Outcome | undefined;
      await until(
        'a read is answered',
        () => {
          first = outcomes.find(({ beganAt, status }) => beganAt >= backAt && status === 200);
          return first;
        },
        BACK_WITHIN_MS,
      );
      const sinceAt = first!.beganAt + first!.tookMs;
      const ms = sinceAt - backAt;
      assert.ok(ms <= BACK_WITHIN_MS, `the first good answer came after ${Math.round(ms)} ms`);
      // What was asked before it may have waited for the one that was away.
      const later = () => outcomes.filter(({ beganAt }) => beganAt > sinceAt);
      await until('more reads', () => later().length >= 10, SETTLED_MS);
      for (const { status } of later()) assert.equal(status, 200, 'it stays so');
      return ms;
    },
    /** Waits for so long, and until `assertRefusedAtOnce` has enough to look at. Resolves with when that was. */
    async untilRefused(fromMs: number, forMs: number): Promise<number> {
      await sleep(forMs);
      await until('refusals', () => between(fromMs, performance.now() - MARGIN_MS).length >= REFUSED, SETTLED_MS);
      return performance.now();
    },
    /** Who asked in between was refused, and at once. */
    assertRefusedAtOnce(fromMs: number, toMs: number): void {
      const refused = between(fromMs, toMs);
      assert.ok(refused.length >= REFUSED, `${refused.length} reads`);
      for (const { status, retryAfter, tookMs } of refused) {
        assert.equal(status, 503);
        assert.ok(retryAfter !== null);
        assert.ok(tookMs < AT_ONCE_MS, `a refusal took ${Math.round(tookMs)} ms`);
      }
    },
    async stop(): Promise<void> {
      isOver = true;
      await running;
    },
  };
}

describe('the only orchestrator, as a process,', () => {
  let orchestrator: Awaited<ReturnType<typeof startFakeOrchestratorProcess>>;
  let gateway: TestGateway;
  before(async () => {
    orchestrator = await startFakeOrchestratorProcess(ID);
    gateway = await startGateway(orchestrator.endpoint);
    assert.equal((await gateway.request(PATH)).status, 200);
  });
  after(async () => {
    await gateway?.close();
    await orchestrator?.kill();
  });

  // Until the connection is given up, and beyond: the one that is tried in its place is taken by the system alone.
  for (const [what, pauseMs] of [
    ['a moment', 1_500],
    ['longer than its connection is trusted', 8_000],
  ] as const) {
    it(`is left out while it stands still for ${what}, and back within seconds`, async (test) => {
      const load = startLoad(gateway);
      test.after(async () => {
        orchestrator.goOn();
        await load.stop();
      });
      const logged = gateway.logLines.length;
      const told = (words: string) => gateway.logLines.slice(logged).filter((line) => line.includes(words)).length;
      await until('reads are answered', () => load.outcomes.length >= 5, SETTLED_MS);
      orchestrator.pause();
      await until('the circuit is open', () => told('an orchestrator is left out') > 0, SETTLED_MS);
      const openAt = performance.now() + 50;
      const { up } = await readEndpointCounts(gateway);
      assert.equal(up, 0);
      const backAt = await load.untilRefused(openAt, pauseMs);
      orchestrator.goOn();
      const ms = await load.untilBack(backAt);
      test.diagnostic(`back after ${Math.round(ms)} ms`);
      load.assertRefusedAtOnce(openAt, backAt - MARGIN_MS);
      assert.equal(told('an orchestrator is left out'), 1, 'it is told once');
      await until('it is told', () => told('is asked again') === 1);
      const { up: now } = await readEndpointCounts(gateway);
      assert.equal(now, 1);
      const late = load.outcomes.filter(({ status }) => status === 504);
      for (const { tookMs } of late)
        assert.ok(tookMs < RPC_TIMEOUT_MS + AT_ONCE_MS, 'nobody waits beyond the deadline');
    });
  }

  it('is back within seconds when it is killed and started again on its port', async (test) => {
    const load = startLoad(gateway);
    test.after(() => load.stop());
    await until('reads are answered', () => load.outcomes.length >= 5, SETTLED_MS);
    await orchestrator.kill();
    await until('reads are refused', load.isRefused, SETTLED_MS);
    await sleep(1_500);
    await orchestrator.restart();
    const ms = await load.untilBack(performance.now());
    test.diagnostic(`back after ${Math.round(ms)} ms`);
  });
});

describe('the only orchestrator', () => {
  const unavailable = () => {
    throw new ConnectError('the database is away', Code.Unavailable);
  };
  let orchestrator: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    orchestrator = await startFakeOrchestrator({ health: true, replay: true });
    orchestrator.put({ id: ID, spec: { name: ID }, state: JobState.RUNNING });
    gateway = await startGateway(orchestrator.endpoint);
  });
  after(async () => {
    await gateway?.close();
    await orchestrator?.close();
  });

  it('is back within seconds when it was slow, though what it was asked is still under way', async (test) => {
    const load = startLoad(gateway);
    test.after(() => load.stop());
    await until('reads are answered', () => load.outcomes.length >= 5, SETTLED_MS);
    for (const rpc of ['getWorkflow', 'check'] as const) orchestrator.onCall(rpc, () => sleep(10_000));
    await until('reads are refused', load.isRefused, SETTLED_MS);
    const openAt = performance.now() + 50;
    const backAt = await load.untilRefused(openAt, 1_500);
    orchestrator.clearFaults();
    test.diagnostic(`back after ${Math.round(await load.untilBack(backAt))} ms`);
    load.assertRefusedAtOnce(openAt, backAt - MARGIN_MS);
  });

  it('is hardly asked while its database is away, and watchers are back within seconds', async (test) => {
    const eventIds: string[] = [];
    const watcher = startResumingClient({
      url: `${gateway.url}${PATH}/events`,
      headers: ADMIN,
      from: '0',
      retryMs: (askedMs) => askedMs ?? 1_000,
      onEvent: ({ id }) => id && eventIds.push(id),
    });
    const load = startLoad(gateway);
    test.after(async () => {
      watcher.stop();
      await load.stop();
    });
    await until('the stream is open', () => orchestrator.openStreams() === 1);
    for (const rpc of ['getWorkflow', 'streamWorkflowEvents', 'check'] as const) orchestrator.onCall(rpc, unavailable);
    assert.ok(orchestrator.breakStream({ error: Code.Unavailable }));
    await until('the circuit is open', async () => (await readEndpointCounts(gateway)).ejected === 1, SETTLED_MS);
    const calls = orchestrator.calls.length;
    const openAt = performance.now();
    const backAt = await load.untilRefused(openAt, 3_000);
    const asked = orchestrator.calls.length - calls;
    const most = 1 + Math.floor((performance.now() - openAt) / 1_000);
    assert.ok(asked <= most, `it is tried out once a second, and was asked ${asked} times, not ${most}`);

    orchestrator.clearFaults();
    orchestrator.stepUpdate(ID, { stepId: 'fold', fraction: 0.5 });
    await until('the watcher has what happened', () => eventIds.length === 1, BACK_WITHIN_MS);
    test.diagnostic(`the watcher is back after ${Math.round(performance.now() - backAt)} ms`);
    await load.untilBack(backAt);
    load.assertRefusedAtOnce(openAt, backAt - MARGIN_MS);
    assert.deepEqual(watcher.statuses, [200], 'it did not have to come back');
  });
});
