import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { findDebianProgram } from '../support/debian.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startNginx } from '../support/nginx.ts';
import { collectSse, idsOf, readSse, type SseEvent } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

/** Five minutes of the heartbeat's default, 15 s. */
const FIVE_MINUTES = 20;
const HEARTBEAT_SECONDS = 0.5;
/** nginx's default, 60 s, in the same proportion to the heartbeat. */
const PATIENCE = `proxy_read_timeout ${(HEARTBEAT_SECONDS / 15) * 60 * 1_000}ms;`;

const nginxProgram = await findDebianProgram('nginx', 'nginx-light');

describe('event streams through nginx', { skip: 'missing' in nginxProgram && nginxProgram.missing }, () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  let silentGateway: TestGateway;
  let nginx: Awaited<ReturnType<typeof startServers>>;
  before(async () => {
    fake = await startFakeOrchestrator();
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint };
    gateway = await startTestGateway({ ...settings, HEARTBEAT_SECONDS: String(HEARTBEAT_SECONDS) });
    silentGateway = await startTestGateway(settings);
    nginx = await startServers();
  });
  after(async () => {
    await nginx.close();
    await gateway.close();
    await silentGateway.close();
    await fake.close();
  });

  function startServers() {
    assert.ok('file' in nginxProgram);
    return startNginx(nginxProgram.file, {
      plain: { upstream: gateway.url },
      impatient: { upstream: gateway.url, directives: PATIENCE },
      impatientWithoutHeartbeats: { upstream: silentGateway.url, directives: PATIENCE },
      compressing: { upstream: gateway.url, directives: 'gzip on; gzip_types text/event-stream;' },
    });
  }

  const running = () => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
  const step = (id: string, fraction: number) => fake.stepUpdate(id, { stepId: 'a', fraction });
  const open = (server: string, id: string, headers: Record<string, string> = {}, signal?: AbortSignal) => {
    const init = { headers: { ...ADMIN, ...headers }, ...(signal && { signal }) };
    return within('the answer', fetch(`${server}/v1/workflows/${id}/events`, init));
  };
  /** Reads on until `wanted`, and answers with it. */
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

  it('brings the snapshot, and each event when it is made', async () => {
    const id = running();
    const response = await open(nginx.urls.plain, id);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const events = readSse(response);
    const snapshot = await next('the snapshot', events, ({ event }) => event === 'workflow_update');
    assert.equal(JSON.parse(snapshot.data!).workflow_update.id, id);
    for (const eventId of ['1', '2', '3']) {
      step(id, Number(eventId) / 10);
      await next(`event ${eventId}`, events, (event) => event.id === eventId);
    }
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const end = await next('the end', events, ({ event }) => event === 'end');
    assert.equal(end.data, '{"state":"SUCCEEDED"}');
    assert.equal((await within('the stream closes', events.next())).done, true);
  });

  it('survives five minutes of silence, because heartbeats reset the patience of nginx', async () => {
    const id = running();
    const streams = [nginx.urls.plain, nginx.urls.impatient].map(async (server) => {
      const events = readSse(await open(server, id));
      for (let heartbeat = 1; heartbeat <= FIVE_MINUTES; heartbeat++) {
        await next(`heartbeat ${heartbeat}`, events, ({ comment }) => comment === 'heartbeat');
      }
      return events;
    });
    const silence = await Promise.all(streams);
    step(id, 0.5);
    for (const events of silence) await next('the event after the silence', events, (event) => event.id === '1');
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    for (const events of silence) await next('the end', events, ({ event }) => event === 'end');
  });

  it('would not survive it without them', async () => {
    const response = await open(nginx.urls.impatientWithoutHeartbeats, running());
    await assert.rejects(within('nginx gives up', collectSse(response)), /terminated/);
  });

  it('frees the upstream stream when the client leaves nginx', async () => {
    const leave = new AbortController();
    const events = readSse(await open(nginx.urls.plain, running(), {}, leave.signal));
    await next('the snapshot', events, ({ event }) => event === 'workflow_update');
    await until('the upstream stream is open', () => fake.openStreams() === 1);
    leave.abort();
    await until('the upstream stream is free', () => fake.openStreams() === 0);
  });

  it('resumes by Last-Event-ID, and is over with 204', async () => {
    const id = running();
    for (let index = 1; index <= 5; index++) step(id, index / 10);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const response = await open(nginx.urls.plain, id, { 'Last-Event-ID': '2' });
    assert.equal(response.headers.get('last-event-id'), '2');
    const events = await within('the replay', collectSse(response));
    assert.deepEqual(idsOf(events.filter(({ data }) => data)), ['3', '4', '5', '6']);
    assert.equal((await open(nginx.urls.plain, id, { 'Last-Event-ID': '6' })).status, 204);
  });

  it('brings a large replay exactly once', async () => {
    const id = running();
    fake.stepUpdate(id, { stepId: 'a' });
    const message = 'ü'.repeat(10_000);
    for (let index = 0; index < 400; index++) fake.stepUpdate(id, { stepId: 'a', error: { code: 'X', message } });
    const response = await open(nginx.urls.plain, id, { 'Last-Event-ID': '1' });
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const events = (await within('the replay', collectSse(response), 10_000)).filter(({ data }) => data);
    assert.deepEqual(
      idsOf(events),
      Array.from({ length: 401 }, (_, index) => String(index + 2)),
    );
    for (const { data } of events.slice(0, 400)) assert.equal(JSON.parse(data!).step_update.error.message, message);
    assert.equal(events.at(-1)?.event, 'end');
  });

  // nginx does not heed no-transform, but its compressor passes on what it has whenever the gateway has sent something.
  it('brings each event at once even where nginx compresses', async () => {
    const id = running();
    const response = await open(nginx.urls.compressing, id, { 'Accept-Encoding': 'gzip' });
    assert.equal(response.headers.get('content-encoding'), 'gzip');
    const events = readSse(response);
    await next('the snapshot', events, ({ event }) => event === 'workflow_update');
    for (const eventId of ['1', '2', '3']) {
      step(id, Number(eventId) / 10);
      await next(`event ${eventId}`, events, (event) => event.id === eventId);
    }
    await events.return(undefined);
  });
});
