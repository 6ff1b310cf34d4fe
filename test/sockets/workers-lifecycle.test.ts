import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { isAlive, startManyWorkers } from '../support/many-workers.ts';
import { startProgram } from '../support/process.ts';
import { collectSse } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

const G = 'FOLDFORGE_GATEWAY__';
const ADMIN = { Authorization: 'Bearer dev-token' };
/** A program has exited when its standard output is closed, which its workers share. */
const WITH_ITS_WORKERS = 'with its workers';

let orchestrator: FakeOrchestrator;
before(async () => {
  orchestrator = await startFakeOrchestrator();
});
after(() => orchestrator.close());

describe('the shutdown of a gateway of two workers', () => {
  it('drains all of them without a failed request, whoever gets the signal, and leaves nobody', async () => {
    const gateway = await startManyWorkers({
      ORCHESTRATOR_ENDPOINT: orchestrator.endpoint,
      SHUTDOWN_DELAY_SECONDS: '1.5',
    });
    const { id } = orchestrator.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const streams = Array.from({ length: 4 }, async () =>
      collectSse(await fetch(`${gateway.url}/v1/workflows/${id}/events`, { headers: ADMIN })),
    );
    // Those who watch share one upstream stream in each worker.
    await until('each worker has streams', () => orchestrator.openStreams() === 2);
    let stopped = false;
    const load = Array.from({ length: 6 }, async () => {
      let served = 0;
      for (; !stopped; served++) assert.equal((await gateway.once(`/v1/workflows/${id}`)).status, 200);
      return served;
    });
    const waiting: (() => void)[] = [];
    orchestrator.onCall('getBalance', () => new Promise<void>((resolve) => waiting.push(resolve)));
    const slow = Array.from({ length: 4 }, () => gateway.once('/v1/billing/balance'));
    await until('slow requests are under way', () => waiting.length === 4);

    // As a terminal's Ctrl-C comes to all of them.
    for (const pid of [...gateway.pids, gateway.program.pid]) process.kill(pid, 'SIGINT');
    const readiness = async () => (await gateway.once('/v1/readyz')).status;
    await until('it drains', async () => (await readiness()) === 503);
    assert.deepEqual(await Promise.all([readiness(), readiness(), readiness(), readiness()]), [503, 503, 503, 503]);
    stopped = true;
    const served = await within('the load is over', Promise.all(load));
    assert.ok(served.every((count) => count > 0));
    for (const events of await within('the streams end', Promise.all(streams))) {
      assert.match(events.at(-1)?.retry ?? '', /^\d{4}$/);
    }
    for (const release of waiting) release();
    orchestrator.clearFaults();
    for (const { status } of await Promise.all(slow)) assert.equal(status, 200);
    assert.equal(await gateway.program.exits(), 0);
    assert.equal(gateway.program.stderr(), '');
    assert.deepEqual(gateway.pids.map(isAlive), [false, false]);
  });

  it('cuts what is left after the grace period, kills who cannot even do that, and exits with 0', async () => {
    const gateway = await startManyWorkers({
      ORCHESTRATOR_ENDPOINT: orchestrator.endpoint,
      SHUTDOWN_GRACE_SECONDS: '0.5',
    });
    const { promise: never, resolve: release } = Promise.withResolvers<void>();
    orchestrator.onCall('getBalance', () => never);
    const calls = orchestrator.countCalls('getBalance');
    let cuts = 0;
    for (let index = 0; index < 2; index++) {
      gateway.once('/v1/billing/balance').catch(() => {
        cuts += 1;
      });
    }
    await until('one is under way in each worker', () => orchestrator.countCalls('getBalance') === calls + 2);
    process.kill(gateway.pids[0]!, 'SIGSTOP');
    gateway.program.kill('SIGTERM');
    await until('the other worker has cut its own', () => cuts === 1);
    assert.equal(await gateway.program.exits(), 0, WITH_ITS_WORKERS);
    await until('that of the stopped one is over, too', () => cuts === 2);
    const [killed] = gateway.logged('workers that did not end were killed');
    assert.deepEqual(killed?.worker_pids, [gateway.pids[0]]);
    release();
    orchestrator.clearFaults();
  });

  it('is at once at a second signal', async () => {
    const gateway = await startManyWorkers({
      ORCHESTRATOR_ENDPOINT: orchestrator.endpoint,
      SHUTDOWN_DELAY_SECONDS: '20',
    });
    gateway.program.kill('SIGTERM');
    await until('it drains', async () => (await gateway.once('/v1/readyz')).status === 503);
    // The same signal shortly after the first is taken for the first.
    await until('a second signal is one', () => {
      gateway.program.kill('SIGTERM');
      return !isAlive(gateway.program.pid);
    });
    assert.equal(await gateway.program.exits(), 130, WITH_ITS_WORKERS);
  });

  it('comes to the workers, who finish what is under way, when the first process is killed', async () => {
    const gateway = await startManyWorkers({
      ORCHESTRATOR_ENDPOINT: orchestrator.endpoint,
      SHUTDOWN_DELAY_SECONDS: '0',
    });
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const calls = orchestrator.countCalls('getBalance');
    orchestrator.onCall('getBalance', () => held);
    const slow = [gateway.once('/v1/billing/balance'), gateway.once('/v1/billing/balance')];
    await until('slow requests are under way', () => orchestrator.countCalls('getBalance') === calls + 2);
    gateway.program.kill('SIGKILL');
    await until('the workers see it', () => gateway.logged('the first process is gone').length === 2);
    release();
    orchestrator.clearFaults();
    for (const { status } of await Promise.all(slow)) assert.equal(status, 200);
    assert.equal(await gateway.program.exits(), null, WITH_ITS_WORKERS);
    await assert.rejects(gateway.once('/v1/healthz'), /ECONNREFUSED/);
  });
});

describe('a gateway of several workers refuses to start, in one line', () => {
  const refusals: [what: string, env: Record<string, string>, exitCode: number, line: RegExp][] = [
    ['with none', { WORKERS: '0' }, 78, /WORKERS is "0", but must be auto or a whole number from 1 to 256/],
    ['with a half', { WORKERS: '1.5' }, 78, /WORKERS is "1.5"/],
    ['with a bad setting', { WORKERS: '2', HEARTBEAT_SECONDS: 'x' }, 78, /HEARTBEAT_SECONDS is "x"/],
  ];
  for (const [what, settings, exitCode, line] of refusals) {
    it(what, async () => {
      const names = Object.entries({ BIND_ADDR: '127.0.0.1:0', ...settings });
      const program = startProgram('gateway', {
        env: Object.fromEntries(names.map(([name, value]) => [G + name, value])),
      });
      assert.equal(await program.exits(), exitCode);
      assert.match(program.stderr(), line);
      assert.match(program.stderr(), /^foldforge-gateway: [^\n]+\n$/, 'one line');
      assert.doesNotMatch(program.stdout(), /"ready"|"error"/);
    });
  }

  it('on a port that is in use', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const program = startProgram('gateway', { env: { [`${G}BIND_ADDR`]: `127.0.0.1:${port}`, [`${G}WORKERS`]: '2' } });
    assert.equal(await program.exits(), 69);
    assert.equal(program.stderr(), `foldforge-gateway: cannot listen on 127.0.0.1:${port}: the port is in use\n`);
    holder.close();
  });

  it('when a worker dies before it is ready', { skip: process.platform !== 'linux' && 'it reads /proc' }, async () => {
    const program = startProgram('gateway', { env: { [`${G}BIND_ADDR`]: '127.0.0.1:0', [`${G}WORKERS`]: '2' } });
    const children = () =>
      readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, 'utf8').split(' ').filter(Boolean);
    await until('it has workers', () => children().length === 2);
    process.kill(Number(children()[0]), 'SIGKILL');
    assert.equal(await program.exits(), 69, WITH_ITS_WORKERS);
    assert.equal(program.stderr(), 'foldforge-gateway: a worker ended before it was ready (SIGKILL)\n');
  });
});
