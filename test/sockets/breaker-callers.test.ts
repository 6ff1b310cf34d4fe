import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createTransport } from '../../src/gateway/upstream/transport.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { startTestGateway } from '../support/gateway.ts';
import { startManyOrchestrators, untilEndpoints } from '../support/many-orchestrators.ts';
import { failureOf } from '../support/transport-under-test.ts';
import { until } from '../support/waiting.ts';

const ID = 'wf-1';
const PATH = `/v1/workflows/${ID}`;
const unavailable = () => {
  throw new ConnectError('not here', Code.Unavailable);
};
const never = () => new Promise(() => {});

async function startScene(test: TestContext, count: number) {
  const orchestrators = await startManyOrchestrators(count);
  orchestrators.put(ID, JobState.RUNNING);
  const gateway = await startTestGateway({
    ORCHESTRATOR_ENDPOINT: orchestrators.endpoint,
  });
  test.after(async () => {
    await gateway.close();
    await orchestrators.close();
  });
  await untilEndpoints(gateway, { up: count });

  async function status(path: string): Promise<number> {
    const response = await gateway.request(path);
    await response.text();
    return response.status;
  }

  async function counted(name: string): Promise<number> {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    const samples = [...text.matchAll(new RegExp(`^foldforge_gateway_upstream_${name}(?:{.*})? (\\d+)$`, 'gm'))];
    return samples.reduce((sum, [, value]) => sum + Number(value), 0);
  }
  return { orchestrators, gateway, status, counted };
}

/** In which a busy machine answers others. */
const WASTED_MS = 3_000;

/** Calls without a gateway around them, which sheds some itself when the machine is busy with other tests. */
async function openDirect(test: TestContext) {
  const orchestrators = await startManyOrchestrators(1, { health: true });
  orchestrators.put(ID, JobState.RUNNING);
  let openings = 0;
  const ignore = () => {};
  const transport = await createTransport('direct', {
    endpoint: orchestrators.endpoint,
    keepaliveMs: 60_000,
    readMaxBytes: 1_000_000,
    observer: {
      onLeftOut: () => openings++,
      onBack: ignore,
      onCounts: ignore,
      onUnreachable: ignore,
      onReached: ignore,
      onUnresolved: ignore,
      onResolved: ignore,
      onRetry: ignore,
      onRetryRefused: ignore,
    },
  });
  test.after(async () => {
    transport.close();
    await orchestrators.close();
  });
  const client = createClient(OrchestratorService, transport);
  const read = () => client.getWorkflow({ workflowId: ID }, { timeoutMs: 20_000 });
  await read();
  orchestrators.at(0).onCall('listWorkflows', never);
  return {
    openings: () => openings,
    read,
    /** Calls that all take too long, at once. Resolves with how they ended. */
    async waste(count: number): Promise<ReadonlySet<Code>> {
      const codes = Array.from({ length: count }, () => failureOf(client.listWorkflows({}, { timeoutMs: WASTED_MS })));
      return new Set((await Promise.all(codes)).map(({ code }) => code));
    },
  };
}

describe('a caller whose calls take too long', () => {
  it('does not open the circuit while others are answered, however many end at once', async (test) => {
    const { openings, read, waste } = await openDirect(test);
    for (let round = 0; round < 2; round++) {
      let isOver = false;
      const wasted = waste(50).finally(() => {
        isOver = true;
      });
      while (!isOver) {
        await read();
        await sleep(25);
      }
      assert.deepEqual(await wasted, new Set([Code.DeadlineExceeded]));
    }
    assert.equal(openings(), 0);
  });

  it('costs others no more than the time of a health check when nobody else has asked meanwhile', async (test) => {
    const { openings, read, waste } = await openDirect(test);
    assert.deepEqual(await waste(50), new Set([Code.DeadlineExceeded]));
    await until('the circuit has opened', () => openings() === 1);
    const isAnswered = () =>
      read().then(
        () => true,
        () => false,
      );
    await until('others are answered', isAnswered);
    for (let index = 0; index < 20; index++) await read();
    assert.equal(openings(), 1);
  });
});

describe('an orchestrator without a health service', () => {
  it('is given a call to prove itself', async (test) => {
    const { orchestrators, gateway, status, counted } = await startScene(test, 1);
    const told = (words: string) => gateway.logLines.filter((line) => line.includes(words)).length;
    orchestrators.at(0).onCall('getWorkflow', unavailable);
    for (let index = 0; index < 5; index++) assert.equal(await status(PATH), 503);
    assert.equal(await counted('breaker_openings_total'), 1);
    await until(
      'that was no proof',
      async () => {
        assert.equal(await status(PATH), 503);
        return (await counted('breaker_openings_total')) >= 3;
      },
      15_000,
    );
    assert.equal(told('an orchestrator is left out'), 1, 'it is told once, for as long as that lasts');
    orchestrators.at(0).clearFaults();
    await until('it is asked again', async () => (await status(PATH)) === 200);
    assert.equal(told('is asked again'), 1);
  });
});

describe('orchestrators that fail every other call', () => {
  it('get no more than a tenth of all calls twice, and ten', async (test) => {
    const { orchestrators, status, counted } = await startScene(test, 2);
    // Never five in a row, so that both go on being asked.
    for (const index of [0, 1]) {
      let asked = 0;
      orchestrators.at(index).onCall('getWorkflow', () => (asked++ % 2 === 0 ? unavailable() : undefined));
    }
    const sum = (counts: number[]) => counts.reduce((total, count) => total + count);
    const before = sum(orchestrators.counts('listWorkflows'));
    const times = 200;
    for (let index = 0; index < times; index++) assert.ok([200, 503].includes(await status(PATH)));
    const retries = await counted('retries_total');
    const refused = await counted('retries_refused_total');
    assert.equal(sum(orchestrators.counts('getWorkflow')), times + retries);
    assert.ok(retries >= 10 && retries <= 10 + 0.1 * (times + before), `${retries} retries`);
    assert.ok(refused > 0, 'others were not made');
  });
});
