import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { GATEWAY_PREFIX } from '../../src/gateway/config.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startComposeNginx } from '../support/compose-nginx.ts';
import { checkAnswer } from '../support/contract-check.ts';
import { findDebianProgram } from '../support/debian.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, CONTRACT } from '../support/gateway.ts';
import { type Program, startProgram } from '../support/process.ts';
import { readSse, type SseEvent } from '../support/sse-client.ts';
import { findStablePorts } from '../support/stable-ports.ts';
import { until, within } from '../support/waiting.ts';

const nginxProgram = await findDebianProgram('nginx', 'nginx-light');

describe('the nginx of compose, before two gateways', {
  skip: 'missing' in nginxProgram && nginxProgram.missing,
}, () => {
  let fake: FakeOrchestrator;
  let nginx: Awaited<ReturnType<typeof startComposeNginx>>;
  let ports: number[];
  const gateways = new Map<number, Program>();

  before(async () => {
    assert.ok('file' in nginxProgram);
    fake = await startFakeOrchestrator({ replay: true });
    ports = await findStablePorts(2);
    await Promise.all(ports.map(startGateway));
    nginx = await startComposeNginx(nginxProgram.file, ports);
  });
  after(async () => {
    for (const program of gateways.values()) program.kill('SIGKILL');
    await nginx?.close();
    await fake?.close();
  });

  async function startGateway(port: number): Promise<void> {
    const settings = {
      BIND_ADDR: `127.0.0.1:${port}`,
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      SHUTDOWN_DELAY_SECONDS: '0.5',
      SHUTDOWN_GRACE_SECONDS: '5',
      LOG_LEVEL: 'info',
    };
    const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [GATEWAY_PREFIX + name, value]));
    const program = startProgram('gateway', { env });
    gateways.set(port, program);
    await program.prints(/"msg":"ready"/);
  }

  const running = () => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
  const step = (id: string, fraction: number) => fake.stepUpdate(id, { stepId: 'a', fraction });
  const get = (path: string, headers: Record<string, string> = {}) =>
    within(`the answer to ${path}`, fetch(nginx.url + path, { headers: { ...ADMIN, ...headers } }), 5_000);
  const open = (id: string, headers: Record<string, string> = {}) => get(`/v1/workflows/${id}/events`, headers);

  async function next(label: string, events: AsyncGenerator<SseEvent>, wanted: (event: SseEvent) => unknown) {
    const search = (async () => {
      for (;;) {
        const { value, done } = await events.next();
        if (done) throw new Error(`the stream ended before ${label}`);
        if (wanted(value)) return value;
      }
    })();
    return within(label, search);
  }

  async function metric(port: number, pattern: RegExp): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(pattern.exec(text)?.[1] ?? 0);
  }
  const streamsOf = (port: number) => metric(port, /^foldforge_gateway_event_streams (\d+)/m);
  const listsOf = (port: number) =>
    metric(port, /^foldforge_gateway_http_requests_total\{method="GET",path="\/v1\/workflows",status="200"\} (\d+)/m);

  /** The gateway that has the only stream, and the other one, which nginx prefers. */
  async function findStreaming(): Promise<{ busy: number; idle: number }> {
    let counts: number[] = [];
    await until('one stream is open', async () => {
      counts = await Promise.all(ports.map(streamsOf));
      return counts.toSorted().join() === '0,1';
    });
    return { busy: ports[counts.indexOf(1)]!, idle: ports[counts.indexOf(0)]! };
  }

  /** Lists workflows over and over, a few at a time, until it is stopped; answers with what each was told. */
  function keepAsking() {
    const statuses: number[] = [];
    let goesOn = true;
    const askers = Array.from({ length: 4 }, async () => {
      while (goesOn) {
        const response = await get('/v1/workflows');
        statuses.push(response.status);
        await response.arrayBuffer();
      }
    });
    return {
      count: () => statuses.length,
      async stop(): Promise<readonly number[]> {
        goesOn = false;
        await Promise.all(askers);
        return statuses;
      },
    };
  }

  it('shares requests out, and passes answers, ids and errors on as they are', async () => {
    for (let index = 0; index < 10; index++) assert.equal((await get('/v1/workflows')).status, 200);
    for (const port of ports) assert.ok((await listsOf(port)) >= 3, `gateway ${port} got its share`);
    const missing = await get('/v1/workflows/none', { 'X-Request-Id': 'mine-1' });
    await checkAnswer(CONTRACT, 'GET', '/v1/workflows/none', missing);
    assert.deepEqual([missing.status, missing.headers.get('x-request-id')], [404, 'mine-1']);
    assert.match(nginx.accessLog(), /"request_id":"mine-1"/);
  });

  it('says in the words of the contract that a body is too large', async () => {
    const body = JSON.stringify({ name: 'x'.repeat(2_000_000) });
    const headers = { ...ADMIN, 'Content-Type': 'application/json' };
    const response = await fetch(`${nginx.url}/v1/workflows`, { method: 'POST', headers, body });
    await checkAnswer(CONTRACT, 'POST', '/v1/workflows', response);
    assert.equal(response.status, 413);
  });

  it('keeps metrics to the inside', async () => {
    for (const path of ['/metrics', '/%6detrics', '/metrics?x']) {
      const response = await get(path);
      assert.equal(response.status, 404, path);
      assert.equal(((await response.json()) as { code: string }).code, 'NOT_FOUND');
    }
  });

  it('passes each event on as it comes, and does not log what may be a ticket', async () => {
    const id = running();
    const events = readSse(await get(`/v1/workflows/${id}/events?last_event_id=0`));
    for (const eventId of ['1', '2', '3']) {
      step(id, Number(eventId) / 10);
      await next(`event ${eventId}`, events, (event) => event.id === eventId && event.data);
    }
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    await next('the end', events, ({ event }) => event === 'end');
    await events.return(undefined);
    await until('the line of the stream', () => nginx.accessLog().includes(`"path":"/v1/workflows/${id}/events"`));
    assert.doesNotMatch(nginx.accessLog(), /last_event_id/);
  });

  it('goes on when a gateway is killed: reads are repeated, a submission is not', async () => {
    const id = running();
    const events = readSse(await open(id));
    await next('the snapshot', events, ({ event }) => event === 'workflow_update');
    // Least connections: the submission goes to the gateway that has no stream.
    const { idle: victim } = await findStreaming();
    const held = Promise.withResolvers<void>();
    fake.onCall('submitWorkflow', () => held.promise);
    const submission = fetch(`${nginx.url}/v1/workflows`, {
      method: 'POST',
      headers: { ...ADMIN, 'Content-Type': 'application/json', 'X-Request-Id': 'torn' },
      body: JSON.stringify({ name: 'x', steps: [{ id: 'a', tool: 'rfdiffusion', params: { contigs: '50' } }] }),
    });
    await until('the submission is under way', () => fake.countCalls('submitWorkflow') === 1);
    const asking = keepAsking();
    await until('requests are under way', () => asking.count() > 20);
    gateways.get(victim)!.kill('SIGKILL');
    const torn = await within('the answer to the submission', submission);
    held.resolve();
    fake.clearFaults();
    const before = asking.count();
    await until('requests go on', () => asking.count() > before + 50);
    assert.deepEqual(new Set(await asking.stop()), new Set([200]));
    await checkAnswer(CONTRACT, 'POST', '/v1/workflows', torn);
    const { code, retryable, request_id } = (await torn.json()) as Record<string, unknown>;
    assert.deepEqual([torn.status, code, retryable, request_id], [503, 'UNAVAILABLE', false, 'torn']);
    assert.equal(torn.headers.get('retry-after'), null);
    assert.equal(fake.countCalls('submitWorkflow'), 1);
    step(id, 0.5);
    await next('an event at the other gateway', events, ({ id: eventId }) => eventId === '1');
    await events.return(undefined);
    await startGateway(victim);
    const asked = await listsOf(victim);
    await until('the gateway that is back gets requests', async () => {
      await (await get('/v1/workflows')).arrayBuffer();
      return (await listsOf(victim)) > asked;
    });
  });

  it('loses no request when a gateway drains, and its streams go on at the other', async () => {
    const id = running();
    step(id, 0.1);
    const events = readSse(await open(id, { 'Last-Event-ID': '0' }));
    await next('the first event', events, (event) => event.id === '1' && event.data);
    const { busy: leaving } = await findStreaming();
    const asking = keepAsking();
    await until('requests are under way', () => asking.count() > 20);
    gateways.get(leaving)!.kill('SIGTERM');
    const told = await next('when to come back', events, ({ retry }) => retry);
    assert.ok(Number(told.retry) > 0);
    assert.equal(await gateways.get(leaving)!.exits(), 0);
    const before = asking.count();
    await until('requests go on', () => asking.count() > before + 50);
    assert.deepEqual(new Set(await asking.stop()), new Set([200]));
    step(id, 0.2);
    const resumed = readSse(await open(id, { 'Last-Event-ID': '1' }));
    await next('the event in between', resumed, (event) => event.id === '2' && event.data);
    await resumed.return(undefined);
  });

  it('says so in the words of the contract when no gateway is left', async () => {
    for (const program of gateways.values()) program.kill('SIGKILL');
    await until('nobody answers', async () => (await get('/v1/workflows')).status !== 200);
    const response = await get('/v1/workflows');
    await checkAnswer(CONTRACT, 'GET', '/v1/workflows', response);
    const { code, retryable } = (await response.json()) as Record<string, unknown>;
    assert.deepEqual([response.status, code, retryable], [503, 'UNAVAILABLE', true]);
    assert.equal(response.headers.get('retry-after'), '1');
  });
});
