import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway } from '../support/gateway.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { readEndpointCounts, startManyOrchestrators, untilEndpoints } from '../support/many-orchestrators.ts';
import { until } from '../support/waiting.ts';

const ID = 'wf-1';
const PATH = `/v1/workflows/${ID}`;
/** Half of the time after which a connection that does not come to be is given up. */
const WAITED_MS = 2_500;

/** Orchestrators that all know one workflow, and a gateway to them and to `others`. */
async function startScene(
  test: TestContext,
  count: number,
  {
    others = [],
    settings = {},
    health = false,
  }: { others?: readonly string[]; settings?: Readonly<Record<string, string>>; health?: boolean } = {},
) {
  const orchestrators = await startManyOrchestrators(count, { health });
  orchestrators.put(ID, JobState.RUNNING);
  const gateway = await startTestGateway({
    ORCHESTRATOR_ENDPOINT: [...others, orchestrators.endpoint].join(','),
    ...settings,
  });
  test.after(async () => {
    await gateway.close();
    await orchestrators.close();
  });

  /** How many of so many reads, one after the other, each orchestrator was asked for. All of them must go well. */
  async function read(times: number): Promise<number[]> {
    const before = orchestrators.counts('getWorkflow');
    for (let index = 0; index < times; index++) {
      const response = await gateway.request(PATH);
      const body = await response.text();
      assert.equal(response.status, 200, body);
    }
    return orchestrators.counts('getWorkflow').map((after, index) => after - before[index]!);
  }
  return { orchestrators, gateway, read };
}

const unavailable = () => {
  throw new ConnectError('the database is away', Code.Unavailable);
};

describe('a gateway to several orchestrators', () => {
  it('spreads calls evenly', async (test) => {
    const { gateway, orchestrators, read } = await startScene(test, 3);
    await untilEndpoints(gateway, { up: 3, down: 0, ejected: 0 });
    assert.deepEqual(await read(300), [100, 100, 100]);
    const before = orchestrators.counts('getWorkflow');
    await Promise.all(Array.from({ length: 300 }, () => gateway.request(PATH).then((response) => response.text())));
    for (const [index, after] of orchestrators.counts('getWorkflow').entries()) {
      const share = after - before[index]!;
      assert.ok(share >= 90 && share <= 110, `${share} of 300 concurrent calls`);
    }
  });

  it('leaves out one that is down, without a failed read, and comes back to it', async (test) => {
    const { gateway, orchestrators, read } = await startScene(test, 3);
    await untilEndpoints(gateway, { up: 3 });
    await orchestrators.kill(1);
    assert.deepEqual(
      (await read(60)).map((share) => share >= 25),
      [true, false, true],
    );
    await untilEndpoints(gateway, { up: 2, down: 1 });
    await orchestrators.restart(1);
    await untilEndpoints(gateway, { up: 3, down: 0 });
    assert.deepEqual(await read(60), [20, 20, 20]);
  });

  it('reads while one is killed in the middle of calls', async (test) => {
    const { gateway, orchestrators } = await startScene(test, 2);
    await untilEndpoints(gateway, { up: 2 });
    const reached = Promise.withResolvers<void>();
    // Neither answered nor refused: it dies with the call.
    orchestrators.at(0).onCall('getWorkflow', () => {
      reached.resolve();
      return new Promise(() => {});
    });
    const reads = Array.from({ length: 20 }, () => gateway.request(PATH));
    await reached.promise;
    await orchestrators.kill(0);
    for (const response of await Promise.all(reads)) assert.equal(response.status, 200);
  });

  it('goes on when one says GOAWAY', async (test) => {
    const { gateway, orchestrators, read } = await startScene(test, 2);
    await untilEndpoints(gateway, { up: 2 });
    for (let round = 0; round < 5; round++) {
      orchestrators.at(round % 2).goAway();
      await read(20);
    }
    await untilEndpoints(gateway, { up: 2 });
  });

  it('waits for none that does not take connections, or takes them and says nothing', async (test) => {
    const blackhole = await startBlackhole();
    const sockets = new Set<Socket>();
    const mute = createServer((socket) => sockets.add(socket.on('error', () => {})));
    const port = await listenOnLoopback(mute);
    test.after(async () => {
      for (const socket of sockets) socket.destroy();
      mute.close();
      await blackhole.close();
    });
    const { read } = await startScene(test, 2, { others: [blackhole.url, `http://127.0.0.1:${port}`] });
    const shares = [0, 0];
    for (let times = 0; times < 100; times++) {
      const startedAt = performance.now();
      for (const [index, share] of (await read(1)).entries()) shares[index]! += share;
      assert.ok(performance.now() - startedAt < WAITED_MS, 'nobody waits');
    }
    for (const share of shares) assert.ok(share >= 40, `${shares}`);
  });

  it('leaves out one that answers UNAVAILABLE, tries it out, and comes back to it', async (test) => {
    const { gateway, orchestrators, read } = await startScene(test, 3, { health: true });
    await untilEndpoints(gateway, { up: 3 });
    const bad = orchestrators.at(2);
    for (const rpc of ['getWorkflow', 'listWorkflows', 'check'] as const) bad.onCall(rpc, unavailable);
    // A read that it refuses is made elsewhere; after five of them it is not asked any more.
    const [first, second, third] = await read(60);
    assert.equal(third, 5);
    assert.equal(first! + second!, 60);
    assert.ok(
      gateway.logLines.some((line) => line.includes('an orchestrator is left out') && line.includes(`:${bad.port}`)),
    );
    await untilEndpoints(gateway, { up: 2, ejected: 1 });
    assert.equal((await read(10))[2], 0);
    bad.clearFaults();
    await untilEndpoints(gateway, { up: 3, ejected: 0 }, 15_000);
    assert.deepEqual(await read(60), [20, 20, 20]);
    assert.ok(gateway.logLines.some((line) => line.includes('is asked again')));
  });

  it('makes each read elsewhere that one refuses, also of many at once', async (test) => {
    const { gateway, orchestrators } = await startScene(test, 2);
    await untilEndpoints(gateway, { up: 2 });
    orchestrators.at(0).onCall('getWorkflow', unavailable);
    // Half of them go to it, which the budget of retries has room for from the beginning.
    const answers = await Promise.all(Array.from({ length: 20 }, () => gateway.request(PATH)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  });

  it('leaves out one that never answers in time', async (test) => {
    const settings = { ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '1' };
    const { gateway, orchestrators } = await startScene(test, 2, { settings, health: true });
    await untilEndpoints(gateway, { up: 2 });
    for (const rpc of ['getWorkflow', 'check'] as const) orchestrators.at(0).onCall(rpc, () => new Promise(() => {}));
    const statuses: number[] = [];
    for (let index = 0; index < 30; index++) statuses.push((await gateway.request(PATH)).status);
    assert.equal(statuses.filter((status) => status === 504).length, 5);
    assert.deepEqual(new Set(statuses.slice(10)), new Set([200]));
  });

  it('leaves one out for as long, though a channel that has nothing to do has lost the other', async (test) => {
    const { gateway, orchestrators } = await startScene(test, 2, { health: true });
    await untilEndpoints(gateway, { up: 2 });
    const sick = orchestrators.at(0);
    // Both are connected for streams, too, and for them the other one is not connected again.
    const leave = new AbortController();
    for (const id of [ID, 'wf-2']) {
      orchestrators.put(id, JobState.RUNNING);
      await gateway.request(`/v1/workflows/${id}/events`, { signal: leave.signal });
    }
    const streams = () => [0, 1].map((index) => orchestrators.at(index).openStreams());
    await until('each has a stream', () => streams().join() === '1,1');
    leave.abort();
    await until('they are over', () => streams().join() === '0,0');
    await orchestrators.kill(1);
    await orchestrators.restart(1);
    await until('it is connected again', async () => {
      await (await gateway.request(PATH)).text();
      return (await readEndpointCounts(gateway)).up === 2;
    });
    sick.onCall('getWorkflow', unavailable);
    const beganAt = performance.now();
    for (let asked = 0; performance.now() - beganAt < 3_000; await sleep(20)) {
      assert.ok(asked <= 1, `the second trial is due after 3 s, and there were ${asked}`);
      await (await gateway.request(PATH)).text();
      asked = sick.countCalls('check');
    }
  });

  it('leaves out the last one, too, and comes back within seconds', async (test) => {
    const { gateway, orchestrators } = await startScene(test, 2, { health: true });
    await untilEndpoints(gateway, { up: 2 });
    for (const index of [0, 1]) {
      orchestrators.at(index).onCall('getWorkflow', unavailable);
      orchestrators.at(index).onCall('check', unavailable);
    }
    for (let index = 0; index < 20; index++) {
      const response = await gateway.request(PATH);
      assert.equal(response.status, 503);
      assert.ok(response.headers.has('retry-after'));
    }
    const sum = (counts: number[]) => counts.reduce((total, count) => total + count);
    assert.equal(sum(orchestrators.counts('getWorkflow')), 10, 'each is left out with its fifth refusal');
    assert.deepEqual(await readEndpointCounts(gateway), { up: 0, down: 0, ejected: 2 });
    for (const index of [0, 1]) orchestrators.at(index).clearFaults();
    await until('one is asked again', async () => (await gateway.request(PATH)).status === 200);
    // From the first on, none is refused.
    for (let index = 0; index < 20; index++) assert.equal((await gateway.request(PATH)).status, 200);
  });

  it('tries those out at once that were left out, when the last other one is gone', async (test) => {
    const { gateway, orchestrators } = await startScene(test, 2, { health: true });
    await untilEndpoints(gateway, { up: 2 });
    const sick = orchestrators.at(0);
    sick.onCall('getWorkflow', unavailable);
    sick.onCall('check', unavailable);
    for (let index = 0; index < 20; index++) assert.equal((await gateway.request(PATH)).status, 200);
    await until('its second trial has failed', () => sick.countCalls('check') === 2, 10_000);
    // It is left out for four seconds more.
    sick.clearFaults();
    await orchestrators.kill(1);
    await until('it is asked', async () => (await gateway.request(PATH)).status === 200, 3_500);
  });
});

describe('readiness with several orchestrators', () => {
  it('needs one that serves, and tells why it is lost', async (test) => {
    const orchestrators = await startManyOrchestrators(3, { health: true });
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: orchestrators.endpoint,
      READINESS_PERIOD_SECONDS: '0.05',
    });
    test.after(async () => {
      await gateway.close();
      await orchestrators.close();
    });
    const checks = () => orchestrators.at(0).countCalls('check');
    const status = async () => (await gateway.request('/v1/readyz')).status;
    const turns = (word: string) => gateway.logLines.filter((line) => line.includes(word));
    await untilEndpoints(gateway, { up: 3 });
    orchestrators.at(0).onCall('check', unavailable);
    orchestrators.at(1).onCall('check', () => new Promise(() => {}));
    const asked = checks();
    await until('it has been asked some times', () => checks() > asked + 4);
    assert.equal(await status(), 200);
    assert.deepEqual(turns('not ready'), []);

    orchestrators.at(1).onCall('check', unavailable);
    await orchestrators.kill(2);
    await until('it is noticed', async () => (await status()) === 503);
    assert.equal(await status(), 503);
    const [line, ...others] = turns('not ready');
    assert.deepEqual(others, [], 'it is told once');
    assert.match(line!, /the database is away/);
    assert.match(line!, new RegExp(`127\\.0\\.0\\.1:${orchestrators.at(0).port}`));

    orchestrators.at(0).clearFaults();
    await until('that is noticed, too', async () => (await status()) === 200);
    assert.equal(turns('ready again').length, 1);
  });
});

describe('readiness with an orchestrator that is busy', () => {
  it('is not lost when all of the streams that it allows are taken', async (test) => {
    const orchestrator = await startFakeOrchestrator({ health: true, maxStreams: 3 });
    orchestrator.put({ id: ID, spec: { name: ID }, state: JobState.RUNNING });
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: orchestrator.endpoint,
      READINESS_PERIOD_SECONDS: '0.05',
    });
    test.after(async () => {
      await gateway.close();
      await orchestrator.close();
    });
    const status = async () => (await gateway.request('/v1/readyz')).status;
    await until('it is ready', async () => (await status()) === 200);
    const answer = Promise.withResolvers<void>();
    orchestrator.onCall('getWorkflow', () => answer.promise);
    const reads = Array.from({ length: 3 }, () => gateway.request(PATH));
    await until('all are under way', () => orchestrator.countCalls('getWorkflow') === 3);
    const checks = orchestrator.countCalls('check');
    await until('it has been asked some times', () => orchestrator.countCalls('check') > checks + 4);
    assert.equal(await status(), 200);
    answer.resolve();
    for (const read of reads) assert.equal((await read).status, 200);
    assert.ok(!gateway.logLines.some((line) => line.includes('not ready')));
  });
});
