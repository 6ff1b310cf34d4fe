import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, before, describe, it, mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startLossyProxy } from '../support/lossy-proxy.ts';
import { until, within } from '../support/waiting.ts';

/** An event as a client saw it; `id` is the last one it had been told by then. */
interface Seen {
  readonly id: string;
  readonly event: string | undefined;
  readonly data: string;
}

type Reader = (body: AsyncIterable<Uint8Array>) => AsyncIterable<EventSourceMessage>;

const count = (first: bigint, length: number) => Array.from({ length }, (_, index) => first + BigInt(index));
const STEP_IDS = [...count(2n, 20), ...count(2n ** 53n - 7n, 15), ...count(2n ** 64n - 15n, 14)];
const LAST_ID = 2n ** 64n - 1n;

describe('clients of others', { concurrency: true }, () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    // The least `retry:` that there is, because EventSource obeys it.
    mock.method(Math, 'random', () => 0);
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, HEARTBEAT_SECONDS: '0.1' });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
    mock.restoreAll();
  });

  const running = (orchestrator = fake) => orchestrator.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
  const messageOf = (eventId: bigint) => `Schritt für ${eventId}: αβγ 折り畳み 🧬\u2028\r\n\ndata: nothing\n\nid: 7`;
  const step = (id: string, eventId: bigint) =>
    fake.stepUpdate(id, { stepId: 'a', error: { code: 'X', message: messageOf(eventId) } }, eventId);

  /** A running workflow with event 1, and half of the others; the other half is made while `seen` grows. */
  function startStory(seen: readonly Seen[]) {
    const id = running();
    step(id, 1n);
    for (const eventId of STEP_IDS.slice(0, 24)) step(id, eventId);
    const told = (async () => {
      for (let made = 24; made < STEP_IDS.length; made++) {
        await until(`event ${made - 4} was seen`, () => seen.length > made - 5, 20_000);
        step(id, STEP_IDS[made]!);
      }
      fake.workflowUpdate(id, JobState.SUCCEEDED);
    })();
    return { path: `/v1/workflows/${id}/events?last_event_id=1`, told };
  }

  function assertWholeStory(seen: readonly Seen[], label: string): void {
    const expected = [...STEP_IDS, LAST_ID, LAST_ID].map(String);
    assert.deepEqual(
      seen.map(({ id }) => id),
      expected,
      label,
    );
    assert.deepEqual(
      seen.slice(-2).map(({ event }) => event),
      ['workflow_update', 'end'],
    );
    assert.deepEqual(
      seen.slice(0, -2).map(({ data }) => JSON.parse(data).step_update.error.message),
      STEP_IDS.map(messageOf),
    );
    assert.equal(seen.at(-1)?.data, '{"state":"SUCCEEDED"}');
  }

  const readers: readonly [name: string, read: Reader][] = [
    ["eventsource-parser's callbacks", readByCallbacks],
    ["eventsource-parser's stream", readByStream],
    ['a reader of our own over random pieces', readByLine],
  ];
  for (const [name, read] of readers) {
    it(`${name}: each event once, in order, through lost connections`, async (t) => {
      const budgets = Array.from({ length: 8 }, () => randomInt(100, 1_200));
      const proxy = await startLossyProxy(gateway.port, budgets);
      t.after(proxy.close);
      const seen: Seen[] = [];
      const { path, told } = startStory(seen);
      const label = `connections lost after ${budgets} bytes`;
      await within(label, Promise.all([told, follow(proxy.url + path, read, seen)]), 20_000);
      assertWholeStory(seen, label);
      assert.equal(proxy.losses(), budgets.length);
    });
  }

  it('eventsource: each event once, at the pace of `retry:`, and 204 stops it for good', async (t) => {
    const proxy = await startLossyProxy(gateway.port, [1_500, 3_000]);
    t.after(proxy.close);
    const seen: Seen[] = [];
    const { path, told } = startStory(seen);
    const { source, requests, waits } = openEventSource(proxy.url + path, seen);
    t.after(() => source.close());
    await within('the story', told, 20_000);
    await until('it is closed', () => source.readyState === source.CLOSED, 20_000);
    assertWholeStory(seen, 'eventsource');
    assert.deepEqual([proxy.losses(), requests.at(-1)], [2, { cursor: String(LAST_ID), status: 204 }]);
    assert.equal(requests.length, 4, 'one after each loss, and one after the end');
    for (const { waitedMs, retryMs } of waits) {
      assert.ok(retryMs >= 1_000 && retryMs <= 5_000, `retry: ${retryMs}`);
      assert.ok(waitedMs > retryMs - 20 && waitedMs < retryMs + 1_000, `${waitedMs} ms with retry: ${retryMs}`);
    }
    assert.equal(waits.length, 3);
    // Longer than it would wait before it asks again.
    await sleep(waits.at(-1)!.retryMs + 300);
    assert.deepEqual([requests.length, source.readyState], [4, source.CLOSED]);
  });

  it('eventsource: heartbeats as events, which leave its cursor alone', async (t) => {
    const id = running();
    step(id, 1n);
    step(id, 2n);
    const seen: Seen[] = [];
    const url = `${gateway.url}/v1/workflows/${id}/events?last_event_id=1&heartbeat=event`;
    const { source } = openEventSource(url, seen);
    t.after(() => source.close());
    await until('the event', () => seen.at(-1)?.event === 'step_update');
    const events = seen.splice(0);
    await until('two heartbeats', () => seen.length >= 2);
    for (const heartbeat of seen) assert.deepEqual(heartbeat, { id: '2', event: 'heartbeat', data: '{}' });
    assert.equal(events.at(-1)?.id, '2');
  });

  it('eventsource: a fault in the middle of the stream is an `error` event with data', async (t) => {
    const lonely = await startFakeOrchestrator();
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: lonely.endpoint, UPSTREAM_LOSS_SECONDS: '0.2' });
    t.after(own.close);
    const seen: Seen[] = [];
    const { source } = openEventSource(`${own.url}/v1/workflows/${running(lonely)}/events`, seen);
    t.after(() => source.close());
    await until('the stream is open', () => lonely.openStreams() === 1);
    await lonely.close();
    await until('the error', () => seen.at(-1)?.event === 'error');
    const { code, retryable } = JSON.parse(seen.at(-1)!.data);
    assert.deepEqual([code, retryable], ['UNAVAILABLE', true]);
  });
});

/** Reads until the answer is 204, and asks again with the last id whenever the stream ends or is lost. */
async function follow(url: string, read: Reader, seen: Seen[]): Promise<void> {
  let cursor: string | undefined;
  for (let connections = 0; connections < 20; connections++) {
    try {
      const response = await fetch(url, { headers: { ...ADMIN, ...(cursor && { 'Last-Event-ID': cursor }) } });
      if (response.status === 204) return;
      assert.equal(response.status, 200);
      for await (const { id, event, data } of read(response.body!)) {
        cursor = id ?? cursor;
        seen.push({ id: cursor ?? '', event, data });
      }
    } catch (error) {
      // What fetch throws for a lost connection.
      if (!(error instanceof TypeError)) throw error;
    }
  }
  throw new Error('20 connections were not enough');
}

async function* readByCallbacks(body: AsyncIterable<Uint8Array>): AsyncGenerator<EventSourceMessage> {
  const decoder = new TextDecoder();
  const parsed: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => parsed.push(event) });
  for await (const chunk of body) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    yield* parsed.splice(0);
  }
}

function readByStream(body: AsyncIterable<Uint8Array>): AsyncIterable<EventSourceMessage> {
  return ReadableStream.from(body).pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
}

/** Splits bytes into lines (WHATWG HTML, section 9.2.6; without the line ends that we do not write). */
async function* readByLine(body: AsyncIterable<Uint8Array>): AsyncGenerator<EventSourceMessage> {
  let rest = Buffer.alloc(0);
  let fields: Record<string, string> = {};
  for await (const piece of randomPieces(body)) {
    rest = Buffer.concat([rest, piece]);
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(rest.toString('utf8', 0, end))!;
      rest = rest.subarray(end + 1);
      if (name || value) fields[name!] = value!;
      else {
        const { data, ...others } = fields;
        if (data !== undefined) yield { data, ...others };
        fields = {};
      }
    }
  }
}

async function* randomPieces(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    for (let start = 0, end = 0; start < chunk.length; start = end) {
      end = start + randomInt(1, 8);
      yield chunk.subarray(start, end);
    }
  }
}

/** An EventSource with its requests, and how long it waited before each but the first, with the `retry:` it had by then. */
function openEventSource(url: string, seen: Seen[]) {
  const requests: { readonly cursor: string | undefined; readonly status: number }[] = [];
  const waits: { readonly waitedMs: number; readonly retryMs: number }[] = [];
  let retryMs = 0;
  let lostAt: number | undefined;

  async function readRetry(body: ReadableStream<Uint8Array>): Promise<void> {
    const stream = body.pipeThrough(new TextDecoderStream()).pipeThrough(
      new EventSourceParserStream({
        onRetry(value) {
          retryMs = value;
        },
      }),
    );
    for await (const _event of stream);
  }

  const source = new EventSource(url, {
    async fetch(target, init) {
      if (lostAt !== undefined) waits.push({ waitedMs: performance.now() - lostAt, retryMs });
      const response = await fetch(target, { ...init, headers: { ...init.headers, ...ADMIN } });
      requests.push({ cursor: init.headers['Last-Event-ID'], status: response.status });
      const { status, headers, redirected } = response;
      if (!response.body) return response;
      const [body, copy] = response.body.tee();
      readRetry(copy).catch(() => undefined);
      return { body, url: response.url, status, headers, redirected };
    },
  });
  source.addEventListener('error', () => {
    if (source.readyState === source.CONNECTING) lostAt = performance.now();
  });
  for (const event of ['step_update', 'workflow_update', 'end', 'heartbeat', 'error']) {
    source.addEventListener(event, ({ lastEventId, data }: MessageEvent) => {
      // Its own `error`, for a lost connection, has no data.
      if (data !== undefined) seen.push({ id: lastEventId, event, data });
    });
  }
  return { source, requests, waits };
}
