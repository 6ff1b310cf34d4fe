import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ask, type Connection, type ManyWorkers, openConnection, startManyWorkers } from '../support/many-workers.ts';
import { until } from '../support/waiting.ts';

const REQUESTS = 'foldforge_gateway_http_requests_total';
const WORKERS = 'foldforge_gateway_workers';
const ENDS = 'foldforge_gateway_worker_ends_total';
/** A start beside a load that takes all it gets. */
const START_BOUND_MS = 30_000;

let orchestrator: FakeOrchestrator;
before(async () => {
  orchestrator = await startFakeOrchestrator();
});
after(() => orchestrator.close());

describe('a gateway of two workers', () => {
  let gateway: ManyWorkers;
  let path: string;
  before(async () => {
    gateway = await startManyWorkers({ ORCHESTRATOR_ENDPOINT: orchestrator.endpoint });
    path = `/v1/workflows/${orchestrator.put({ spec: { name: 'x' }, state: JobState.SUCCEEDED }).id}`;
  });
  after(() => gateway?.kill());

  /** Connections to both workers, by worker, and who has them. */
  async function connectToBoth(count: number) {
    const connections: { readonly pid: number; readonly connection: Connection }[] = [];
    for (let index = 0; index < count; index++) {
      const connection = openConnection(gateway.url);
      connections.push({ connection, pid: await gateway.servedBy(await connection.request(path)) });
    }
    return connections;
  }

  it('shares connections between them', async () => {
    const connections = await connectToBoth(8);
    const perWorker = gateway.pids.map((pid) => connections.filter((one) => one.pid === pid).length);
    assert.deepEqual(perWorker, [4, 4]);
    for (const { connection } of connections) connection.close();
  });

  it('tells the requests of both in one scrape, whoever answers it', async () => {
    const before = (await gateway.scrape())(REQUESTS);
    for (let index = 0; index < 10; index++) assert.equal((await gateway.once(path)).status, 200);
    // A scrape is itself counted from the next one on.
    for (let scrapes = 1; scrapes <= 4; scrapes++) {
      const value = await gateway.scrape();
      assert.equal(value(REQUESTS), before + 10 + scrapes);
      assert.equal(value(WORKERS), 2);
      assert.equal(value(ENDS), 0);
      assert.ok(value('process_resident_memory_bytes') > 150_000_000, 'memory is that of all processes');
    }
    assert.doesNotMatch((await gateway.once('/metrics')).body, / (null|undefined)$/m);
  });

  it('answers many scrapes at a time', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => gateway.once('/metrics')));
    assert.deepEqual(
      answers.map(({ status, body }) => [status, /^foldforge_gateway_workers (\d)$/m.exec(body)?.[1]]),
      answers.map(() => [200, '2']),
    );
  });

  it('redeems in one a ticket of the other', async () => {
    const minted = await gateway.once(`${path}/stream-tickets`, 'POST');
    const minter = await gateway.servedBy(minted);
    const { url } = JSON.parse(minted.body) as { readonly url: string };
    const redeemers = new Set<number>();
    for (let index = 0; index < 4; index++) {
      const ticket = new URL(url, gateway.url).searchParams.get('ticket');
      const response = await fetch(`${gateway.url}${path}/events?last_event_id=1&ticket=${ticket}`, {
        headers: { Connection: 'close' },
      });
      assert.equal(response.status, 204, 'nothing to come, and the ticket was good');
      redeemers.add(
        await gateway.servedBy({ status: 204, body: '', requestId: response.headers.get('x-request-id')! }),
      );
    }
    assert.deepEqual([...redeemers].sort(), [...gateway.pids].sort());
    assert.ok(redeemers.has(minter));
  });

  it('scrapes without a worker that hangs, and closes what was on its way to it when it dies', async () => {
    const [hanging] = gateway.pids as [number];
    const requests = (await gateway.scrape())(REQUESTS);
    process.kill(hanging, 'SIGSTOP');
    // One is sent to it, and no other before that is confirmed.
    const asked = Array.from({ length: 4 }, () => ask(gateway.port));
    const outcomes = () => asked.map(({ outcome }) => outcome()).sort();
    await until('three are answered', () => outcomes().filter((outcome) => outcome === 'answered').length === 3);
    const without = await gateway.scrape();
    assert.equal(without(WORKERS), 1);
    assert.ok(without(REQUESTS) >= requests + 3, 'what it said before still counts');
    assert.deepEqual(outcomes(), ['answered', 'answered', 'answered', 'open']);

    process.kill(hanging, 'SIGKILL');
    await until('it is closed', () => !outcomes().includes('open'));
    assert.deepEqual(outcomes(), ['answered', 'answered', 'answered', 'closed']);
    await until('another one is ready', () => gateway.logged('a worker is ready').length === 1, START_BOUND_MS);
    const again = await gateway.scrape();
    assert.deepEqual([again(WORKERS), again(ENDS)], [2, 1]);
    assert.ok(again(REQUESTS) > without(REQUESTS), 'what it said before it died still counts');
    const [died] = gateway.logged('a worker died');
    assert.deepEqual([died?.worker_pid, died?.signal, died?.next_in_ms], [hanging, 'SIGKILL', 0]);
    for (const { close } of asked) close();
  });

  it('replaces one that dies under load, without a failed request on the other', async () => {
    const connections = await connectToBoth(8);
    const victim = connections[0]!.pid;
    let done = false;
    const load = connections.map(async ({ pid, connection }) => {
      let served = 0;
      try {
        for (; !done; served++) assert.equal((await connection.request(path)).status, 200);
      } catch (error) {
        if (pid !== victim) throw error;
      }
      connection.close();
      return { pid, served };
    });
    const ends = gateway.logged('a worker died').length;
    const greeted = gateway.logged('a worker is ready').length;
    process.kill(victim, 'SIGKILL');
    await until('its end is seen', () => gateway.logged('a worker died').length === ends + 1);
    // The other takes every new connection in the meantime.
    for (let index = 0; index < 10; index++) assert.equal((await gateway.once(path)).status, 200);
    await until(
      'another one is ready',
      () => gateway.logged('a worker is ready').length === greeted + 1,
      START_BOUND_MS,
    );
    done = true;
    for (const { pid, served } of await Promise.all(load)) {
      if (pid !== victim) assert.ok(served > 20, `${served} requests on the other`);
    }
    const pids = new Set((await connectToBoth(4)).map(({ pid }) => pid));
    assert.ok(pids.has(Number(gateway.logged('a worker is ready').at(-1)?.worker_pid)), 'it gets its share');
  });

  it('waits longer and longer before it replaces one that dies again and again', async () => {
    const deaths = () => gateway.logged('a worker died');
    const known = deaths().length;
    // The last one to be ready took the place of another one, moments ago.
    for (let index = 0; index < 2; index++) {
      const greeted = gateway.logged('a worker is ready');
      process.kill(Number(greeted.at(-1)?.worker_pid), 'SIGKILL');
      await until('its end is seen', () => deaths().length === known + index + 1);
      await until(
        'the next is ready',
        () => gateway.logged('a worker is ready').length === greeted.length + 1,
        START_BOUND_MS,
      );
    }
    const pauses = deaths()
      .slice(known)
      .map(({ next_in_ms }) => Number(next_in_ms));
    assert.ok(pauses[0]! >= 250, `${pauses}`);
    assert.deepEqual(pauses, [pauses[0], pauses[0]! * 2]);
    const times = [deaths(), gateway.logged('a worker is ready')].map((lines) =>
      Date.parse(String(lines.at(-1)?.time)),
    );
    const startedIn = Number(gateway.logged('a worker is ready').at(-1)?.started_in_ms);
    assert.ok(times[1]! - startedIn - times[0]! >= pauses[1]! - 10, 'and not only says so');
  });
});
