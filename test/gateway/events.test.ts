import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { collectSse, idsOf, readSse, type SseEvent } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

describe('event streams', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      HEARTBEAT_SECONDS: '0.1',
      STREAM_BUFFER_BYTES: '65536',
      UPSTREAM_LOSS_SECONDS: '1.5',
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  beforeEach(() => {
    fake.clearFaults();
    fake.calls.length = 0;
  });

  const open = (id: string, headers: Record<string, string> = {}, query = '') =>
    gateway.request(`/v1/workflows/${id}/events${query}`, { headers });
  const watching = async (own = gateway) => {
    const metrics = await (await own.request('/metrics')).text();
    return Number(/foldforge_gateway_event_streams (\d+)/.exec(metrics)?.[1]);
  };
  const running = (owner?: string) => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }, owner).id;
  const step = (id: string, fraction: number, eventId?: bigint) =>
    fake.stepUpdate(id, { stepId: 'a', state: JobState.RUNNING, fraction }, eventId);
  const updates = (events: readonly SseEvent[]) => events.filter(({ event }) => event?.endsWith('_update'));

  it('opens with a snapshot, follows to the end, and says so', async () => {
    const id = running();
    step(id, 0.1);
    const response = await gateway.request(`/v1/workflows/${id}/events`);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    assert.equal(response.headers.get('cache-control'), 'no-store, no-transform');
    assert.equal(response.headers.get('x-accel-buffering'), 'no');
    assert.equal(response.headers.get('last-event-id'), null);
    const stream = within('the stream ends', collectSse(response));
    await until('the watcher is there', () => fake.openStreams() > 0);
    step(id, 0.5);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const events = await stream;
    assert.match(events[0]?.retry ?? '', /^[1-5]\d{3}$/);
    const [snapshot, ...rest] = updates(events);
    assert.deepEqual([snapshot?.id, snapshot?.event], [undefined, 'workflow_update']);
    assert.equal(JSON.parse(snapshot!.data!).workflow_update.id, id);
    assert.deepEqual(idsOf(rest), ['2', '3']);
    assert.deepEqual(
      rest.map(({ event }) => event),
      ['step_update', 'workflow_update'],
    );
    assert.deepEqual(events.at(-1), { event: 'end', data: '{"state":"SUCCEEDED"}' });
  });

  it('resumes after any id with exactly the rest, and is over with 204 at the last', async () => {
    const id = running();
    for (let index = 1; index <= 9; index++) step(id, index / 10);
    fake.workflowUpdate(id, JobState.FAILED);
    for (let cursor = 1; cursor < 10; cursor++) {
      const response = await open(id, { 'Last-Event-ID': String(cursor) });
      assert.equal(response.headers.get('last-event-id'), String(cursor));
      const events = await within('the replay', collectSse(response));
      assert.deepEqual(
        idsOf(events),
        Array.from({ length: 10 - cursor }, (_, index) => String(cursor + 1 + index)),
      );
      assert.equal(events.at(-1)?.data, '{"state":"FAILED"}');
    }
    const query = await open(id, { 'Last-Event-ID': '9' }, '?last_event_id=3');
    assert.deepEqual(idsOf(await collectSse(query)), ['10'], 'the header wins');
    for (const cursor of ['10', '11', '18446744073709551615']) {
      const over = await gateway.request(`/v1/workflows/${id}/events`, { headers: { 'Last-Event-ID': cursor } });
      assert.equal(over.status, 204, cursor);
    }
  });

  it('keeps ids exact up to 2^64-1', async () => {
    const id = running();
    const ids = [9_007_199_254_740_993n, 18_446_744_073_709_551_614n, 18_446_744_073_709_551_615n];
    for (const eventId of ids) step(id, 0.5, eventId);
    const response = await open(id, { 'Last-Event-ID': '9007199254740992' });
    const events = await within(
      'three events',
      collectSse(response, (seen) => idsOf(seen).length === 3),
    );
    assert.deepEqual(idsOf(events), ids.map(String));
  });

  it('refuses what is no cursor', async () => {
    const id = running();
    for (const cursor of ['-1', '1.5', 'abc', '18446744073709551616', '007', '99999999999999999999']) {
      for (const [query, headers] of [
        [`?last_event_id=${cursor}`, {}],
        ['', { 'Last-Event-ID': cursor }],
      ] as const) {
        const response = await gateway.request(`/v1/workflows/${id}/events${query}`, { headers });
        assert.equal(response.status, 400, cursor);
      }
    }
  });

  it('settles 404, 401 and 503 before the first byte', async () => {
    assert.equal((await gateway.request('/v1/workflows/none/events')).status, 404);
    assert.equal((await open('none', { Authorization: 'Bearer wrong' })).status, 401);
    fake.onCall('getWorkflow', () => {
      throw new ConnectError('down', Code.Unavailable);
    });
    assert.equal((await gateway.request('/v1/workflows/some/events')).status, 503);
  });

  it('sends heartbeats in silence, as comments or as events', async () => {
    const id = running();
    const comment = await within(
      'a comment',
      collectSse(await open(id), (seen) => seen.at(-1)?.comment !== undefined),
    );
    assert.equal(comment.at(-1)?.comment, 'heartbeat');
    const event = await collectSse(
      await open(id, {}, '?heartbeat=event'),
      (seen) => seen.at(-1)?.event === 'heartbeat',
    );
    assert.equal(event.at(-1)?.id, undefined);
  });

  it('shares one upstream stream among watchers, who each see everything once', async () => {
    const id = running();
    for (let index = 1; index <= 5; index++) step(id, index / 100);
    const cursors = ['2', '0', '4', '1', undefined, '3', '5', undefined, '5'];
    const watchers: Promise<SseEvent[]>[] = [];
    for (const [index, cursor] of cursors.entries()) {
      watchers.push(collectSse(await open(id, cursor === undefined ? {} : { 'Last-Event-ID': cursor })));
      await until('it is watching', async () => (await watching()) === index + 1);
    }
    step(id, 0.06);
    step(id, 0.07);
    await until('all have changed over to one stream', () => fake.openStreams() === 1);
    for (let index = 8; index <= 20; index++) step(id, index / 100);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const results = await within('all end', Promise.all(watchers));
    for (const [index, events] of results.entries()) {
      // The base contract has no cursor 0: it answers with a snapshot.
      const start = cursors[index] === undefined || cursors[index] === '0' ? 5 : Number(cursors[index]);
      const expected = Array.from({ length: 21 - start }, (_, offset) => String(start + 1 + offset));
      assert.deepEqual(idsOf(events), expected, `cursor ${cursors[index]}`);
      assert.equal(events.at(-1)?.event, 'end');
    }
  });

  it('opens one upstream stream for any number of watchers of a quiet workflow, and ends it with the last', async () => {
    const id = running();
    step(id, 0.1);
    const abort = new AbortController();
    const watch = (headers: Record<string, string>) =>
      fetch(`${gateway.url}/v1/workflows/${id}/events`, { headers: { ...ADMIN, ...headers }, signal: abort.signal });
    const first = await watch({});
    await until('the first has its snapshot', () => fake.openStreams() === 1);
    const snapshots = readSse(first);
    await snapshots.next();
    await snapshots.next();
    // From here on the stream has been silent for long enough to be live.
    await collectSse(await open(id), (seen) => seen.at(-1)?.comment !== undefined);
    const calls = fake.countCalls('streamWorkflowEvents');
    const many = await Promise.all(Array.from({ length: 30 }, () => watch({})));
    const seen = await Promise.all(many.map((response) => readOne(response, 'workflow_update')));
    assert.ok(
      seen.every(({ id: eventId }) => eventId === undefined),
      'each got its snapshot',
    );
    assert.equal(fake.countCalls('streamWorkflowEvents'), calls, 'and none its own stream');
    abort.abort();
    await until('the upstream is free', () => fake.openStreams() === 0, 1_000);
    await until('the gauges are back', async () => {
      const metrics = await (await gateway.request('/metrics')).text();
      return /gateway_event_streams 0\n/.test(metrics) && /upstream_event_streams 0\n/.test(metrics);
    });
  });

  it('shares although the first cursor was no event that exists', async () => {
    const id = running();
    step(id, 0.1);
    const far = { 'Last-Event-ID': '18446744073709551615' };
    const watchers = [collectSse(await open(id, far))];
    await until('it is watching', () => fake.openStreams() === 1);
    for (const cursor of ['1', '1', '1']) watchers.push(collectSse(await open(id, { 'Last-Event-ID': cursor })));
    await until('all are watching', async () => (await watching()) === 4);
    for (let index = 2; index <= 5; index++) step(id, index / 10);
    await until('all share one stream', () => fake.openStreams() === 1);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const [, ...others] = await within('all end', Promise.all(watchers));
    for (const events of others) assert.deepEqual(idsOf(events), ['2', '3', '4', '5', '6']);
  });

  it('shares a stream among all who may see the workflow, and with nobody else', async () => {
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, API_KEYS_ENABLED: 'true' });
    for (const name of ['alice', 'bob']) {
      const hash = createHash('sha256').update(`the-key-of-${name}`).digest('hex');
      fake.keys.set(hash, { principal: name, limit: 0n, used: 0n });
    }
    const id = running('alice');
    const watch = (token: string) => own.request(`/v1/workflows/${id}/events`, { headers: bearer(token) });
    const watchers = [collectSse(await watch('the-key-of-alice'))];
    await until('the first is watching', () => fake.openStreams() === 1);
    watchers.push(collectSse(await watch('dev-token')));
    await until('both are watching', async () => (await watching(own)) === 2);
    assert.equal((await watch('the-key-of-bob')).status, 404, 'although the stream is open');
    step(id, 0.1);
    await until('both share one stream', () => fake.openStreams() === 1);
    step(id, 0.2);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    for (const events of await within('both end', Promise.all(watchers)))
      assert.deepEqual(idsOf(events), ['1', '2', '3']);
    await own.close();
  });

  it('hides the loss of the orchestrator, and loses nothing', async () => {
    const id = running();
    step(id, 0.1);
    const events: SseEvent[] = [];
    const response = await open(id, { 'Last-Event-ID': '1' });
    const reading = (async () => {
      for await (const event of readSse(response)) events.push(event);
    })();
    for (let round = 1; round <= 3; round++) {
      const before = fake.countCalls('streamWorkflowEvents');
      fake.dropConnections();
      step(id, 0.1 + round / 10);
      await until('it is connected again', () => fake.countCalls('streamWorkflowEvents') > before);
      await until('the event came', () => idsOf(events).includes(String(round + 1)));
    }
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    await within('the end', reading);
    assert.deepEqual(idsOf(events), ['2', '3', '4', '5']);
    assert.ok(!events.some(({ event }) => event === 'error'));
  });

  it('forgets a loss that is over, although the workflow was silent all the time', async () => {
    const id = running();
    step(id, 0.1);
    const stream = collectSse(await open(id, { 'Last-Event-ID': '1' }));
    await until('it is watching', () => fake.openStreams() === 1);
    for (let round = 1; round <= 2; round++) {
      const calls = fake.countCalls('streamWorkflowEvents');
      fake.dropConnections();
      await until('it is back', () => fake.countCalls('streamWorkflowEvents') > calls && fake.openStreams() === 1);
      // Longer than a loss may last in all (UPSTREAM_LOSS_SECONDS).
      const backAt = performance.now();
      await until('a long silence', () => performance.now() - backAt > 1_700);
    }
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const events = await within('the end', stream);
    assert.deepEqual(idsOf(events), ['2']);
    assert.equal(events.at(-1)?.event, 'end');
  });

  it('ends with UNKNOWN when the orchestrator ends a stream in a state that it does not know', async () => {
    const id = running();
    fake.workflowUpdate(id, 17 as JobState);
    const events = await within('the end', collectSse(await open(id)));
    assert.equal(events.at(-1)?.data, '{"state":"UNKNOWN"}');
    assert.ok(fake.countCalls('streamWorkflowEvents') <= 2);
  });

  it('gives the cursor back when there is no event yet, and never lets a blank line come before an id', async () => {
    const id = running();
    for (let index = 1; index <= 3; index++) step(id, index / 10);
    const [quiet] = await collectSse(await open(id, { 'Last-Event-ID': '3' }), (seen) => seen.length === 1);
    assert.deepEqual([quiet?.id, quiet?.data, quiet?.comment], ['3', undefined, undefined]);
    assert.match(quiet?.retry ?? '', /^\d{4}$/);
    const [replayed] = await collectSse(await open(id, { 'Last-Event-ID': '2' }), (seen) => seen.length === 1);
    assert.deepEqual([replayed?.id, replayed?.event], ['3', 'step_update'], 'the event itself has the first id');
    assert.match(replayed?.retry ?? '', /^\d{4}$/);
    const fresh = await collectSse(await open(id), (seen) => updates(seen).length === 1);
    assert.ok(fresh.every(({ id: eventId }) => eventId === undefined));
    fake.forgetEvents(id, 3n);
    const [gapped, gap] = await collectSse(await open(id, { 'Last-Event-ID': '1' }), (seen) => seen.length === 2);
    assert.deepEqual([gapped?.id, gapped?.event, gap?.event], ['1', undefined, 'gap']);
  });

  it('says what is missing when the store no longer has it, to each reader for itself', async () => {
    const id = running();
    for (let index = 1; index <= 9; index++) step(id, index / 10);
    fake.forgetEvents(id, 7n);
    const readers = ['2', '6', '8', '4'].map(async (cursor) => collectSse(await open(id, { 'Last-Event-ID': cursor })));
    await until('all are watching', async () => (await watching()) === 4);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const seen = (await within('all end', Promise.all(readers))).map((events) => ({
      gaps: events.filter(({ event }) => event === 'gap').map(({ id: eventId, data }) => [eventId, data]),
      ids: idsOf(events),
      order:
        events.findIndex(({ event }) => event === 'gap') < events.findIndex(({ event }) => event?.endsWith('_update')),
    }));
    assert.deepEqual(seen, [
      { gaps: [[undefined, '{"requested":2,"oldest":7}']], ids: ['7', '8', '9', '10'], order: true },
      { gaps: [], ids: ['7', '8', '9', '10'], order: true },
      { gaps: [], ids: ['9', '10'], order: true },
      { gaps: [[undefined, '{"requested":4,"oldest":7}']], ids: ['7', '8', '9', '10'], order: true },
    ]);
  });

  it('tells those who watch of a gap that came while the orchestrator was lost', async () => {
    const id = running();
    step(id, 0.1);
    const stream = collectSse(await open(id, { 'Last-Event-ID': '1' }));
    await until('it is watching', () => fake.openStreams() === 1);
    fake.onCall('getWorkflow', () => {
      throw new ConnectError('down', Code.Unavailable);
    });
    fake.dropConnections();
    await until('it is lost', () => fake.openStreams() === 0);
    for (let index = 2; index <= 6; index++) step(id, index / 10);
    fake.forgetEvents(id, 5n);
    fake.clearFaults();
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const events = await within('the end', stream);
    assert.equal(events.find(({ event }) => event === 'gap')?.data, '{"requested":1,"oldest":5}');
    assert.deepEqual(idsOf(events), ['5', '6', '7']);
  });

  it('says error, retryable, when the orchestrator stays lost', async () => {
    const lonely = await startFakeOrchestrator();
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: lonely.endpoint, UPSTREAM_LOSS_SECONDS: '0.3' });
    const { id } = lonely.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const response = await fetch(`${own.url}/v1/workflows/${id}/events`, { headers: ADMIN });
    await until('the stream is open', () => lonely.openStreams() === 1);
    await lonely.close();
    const events = await within('the stream gives up', collectSse(response));
    const last = events.at(-1)!;
    assert.equal(last.event, 'error');
    const { code, retryable, request_id } = JSON.parse(last.data!);
    assert.deepEqual([code, retryable, request_id], ['UNAVAILABLE', true, response.headers.get('x-request-id')]);
    await own.close();
  });

  it('cuts off a reader that takes nothing, and nobody else', async () => {
    const id = running();
    step(id, 0.1);
    const socket = connect(gateway.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`GET /v1/workflows/${id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\n\r\n`);
    await until('the slow one is watching', () => fake.openStreams() === 1);
    socket.pause();
    const good = collectSse(await open(id, { 'Last-Event-ID': '1' }), (seen) => seen.at(-1)?.event === 'end');
    await until('the good one is watching', async () => (await watching()) === 2);
    const message = 'x'.repeat(60_000);
    let sent = 0;
    const cuts = async () =>
      /stream_cuts_total (\d+)/.exec(await (await gateway.request('/metrics')).text())?.[1] !== '0';
    await until(
      'the slow one is cut off',
      async () => {
        fake.stepUpdate(id, { stepId: 'a', error: { code: 'X', message } });
        sent++;
        return cuts();
      },
      20_000,
    );
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const events = await within('the good one ends', good, 20_000);
    assert.equal(idsOf(events).length, sent + 1, 'the good one has everything');
    socket.destroy();
  });

  it('replays histories larger than the buffer at the pace of their readers, also two at once', async () => {
    const id = running();
    const message = 'x'.repeat(20_000);
    for (let index = 0; index < 300; index++) fake.stepUpdate(id, { stepId: 'a', error: { code: 'X', message } });
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const readers = ['1', '1', '2'].map(async (cursor) => collectSse(await open(id, { 'Last-Event-ID': cursor })));
    const [first, second, third] = await within('the replays', Promise.all(readers), 20_000);
    assert.deepEqual([idsOf(first!).length, idsOf(second!).length, idsOf(third!).length], [300, 300, 299]);
  });

  it('delivers an event that is larger than the buffer, and what follows it', async () => {
    const id = running();
    const readers = [collectSse(await open(id)), collectSse(await open(id))];
    await until('both are watching', async () => (await watching()) === 2);
    fake.stepUpdate(id, { stepId: 'a', error: { code: 'X', message: 'x'.repeat(8_000_000) } });
    for (let index = 1; index <= 3; index++) step(id, index / 10);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    for (const events of await within('both end', Promise.all(readers), 20_000)) {
      assert.deepEqual(idsOf(events), ['1', '2', '3', '4', '5']);
    }
  });

  it('refuses a stream that was asked for just before the shutdown began', async () => {
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, SHUTDOWN_DELAY_SECONDS: '0.3' });
    const id = running();
    let release: () => void = () => undefined;
    fake.onCall('getWorkflow', () => new Promise<void>((resolve) => (release = resolve)));
    const asked = own.request(`/v1/workflows/${id}/events`);
    await until('the workflow is being read', () => fake.countCalls('getWorkflow') === 1);
    const closing = own.close();
    release();
    assert.equal((await asked).status, 503);
    await within('the gateway closes', closing, 2_000);
  });

  it('tells those who have a cursor to come back while the process shuts down, and refuses the others', async () => {
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, SHUTDOWN_DELAY_SECONDS: '1' });
    const id = running();
    const closed = own.close();
    const calls = fake.countCalls('streamWorkflowEvents');
    const response = await own.request(`/v1/workflows/${id}/events`, { headers: { 'Last-Event-ID': '7' } });
    const [first, last] = await within('the stream ends', collectSse(response));
    assert.deepEqual([response.status, first?.id, first?.data], [200, '7', undefined]);
    assert.ok(Number(first?.retry) >= 1_000 && Number(last?.retry) >= 1_000);
    assert.equal(fake.countCalls('streamWorkflowEvents'), calls, 'nothing was opened for it');
    const refused = await own.request(`/v1/workflows/${id}/events`);
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '2']);
    await within('the gateway closes', closed);
  });

  it('ends streams one after the other when the process shuts down, with a retry after it has closed', async () => {
    const delayMs = 1_000;
    const own = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      SHUTDOWN_DELAY_SECONDS: String(delayMs / 1000),
    });
    const id = running();
    const readers = Array.from({ length: 20 }, async () => {
      const events = await collectSse(await own.request(`/v1/workflows/${id}/events`));
      return { events, endedAt: performance.now() };
    });
    await until('all are watching', async () => (await watching(own)) === 20);
    const closingAt = performance.now();
    const closed = own.close();
    await until('some have ended, and some go on', async () => {
      const open = await watching(own);
      return open > 2 && open < 18;
    });
    const retries = new Set<number>();
    for (const { events, endedAt } of await within('all end', Promise.all(readers))) {
      const retryMs = Number(events.at(-1)?.retry);
      retries.add(retryMs);
      assert.ok(retryMs >= 1_000 && retryMs <= 5_000, `${retryMs}`);
      assert.ok(endedAt + retryMs > closingAt + delayMs, 'it comes back after the listener has closed');
      assert.ok(!events.some(({ event }) => event === 'end' || event === 'error'));
    }
    assert.ok(retries.size > 10, 'they do not come back together');
    await within('the gateway closes', closed);
  });
});

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

/** The first event with this name; then the reader leaves. */
async function readOne(response: Response, name: string): Promise<SseEvent> {
  for await (const event of readSse(response)) if (event.event === name) return event;
  throw new Error(`no ${name} came`);
}
