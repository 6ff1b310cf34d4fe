import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { pathOf, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type RawStore, serve, startRawStore } from '../support/raw-store.ts';
import { collectSse } from '../support/sse-client.ts';
import { until } from '../support/waiting.ts';

/** The value of a series as it is written, without its prefix; undefined when there is none. */
async function scrape({ url }: TestGateway) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = text.matchAll(/^foldforge_(?:gateway_)?(\S+) (\S+)$/gm);
  const values = new Map([...found].map(([, name, value]) => [name!, Number(value)]));
  return (series: string) => values.get(series);
}

describe('what the gateway tells of itself', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  let id: string;
  before(async () => {
    fake = await startFakeOrchestrator({ replay: true });
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    id = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
  });
  afterEach(() => fake.clearFaults());
  after(async () => {
    await gateway?.close();
    await fake?.close();
  });

  it('is how many requests it is answering, the scrape among them, and apart from those that are held open', async () => {
    const held = Promise.withResolvers<void>();
    fake.onCall('listWorkflows', () => held.promise);
    const slow = gateway.request('/v1/workflows');
    const leave = new AbortController();
    const stream = await fetch(`${gateway.url}/v1/workflows/${id}/events`, { headers: ADMIN, signal: leave.signal });
    const poll = fetch(`${gateway.url}/v1/workflows/${id}?wait=60`, { headers: ADMIN, signal: leave.signal });
    poll.catch(() => undefined);
    await until('all three are open', async () => {
      const value = await scrape(gateway);
      return value('http_requests_in_flight') === 2 && value('held_requests') === 2 && value('event_streams') === 1;
    });
    assert.equal(stream.status, 200);
    leave.abort();
    held.resolve();
    assert.equal((await slow).status, 200);
    await until('all three are over', async () => {
      const value = await scrape(gateway);
      return value('http_requests_in_flight') === 1 && value('held_requests') === 0 && value('event_streams') === 0;
    });
  });

  it('is not mistaken about requests whose client leaves before they are answered', async () => {
    const held = Promise.withResolvers<void>();
    fake.onCall('listWorkflows', () => held.promise);
    const leave = new AbortController();
    const requests = Array.from({ length: 5 }, () =>
      fetch(`${gateway.url}/v1/workflows`, { headers: ADMIN, signal: leave.signal }),
    );
    await until('they are open', async () => (await scrape(gateway))('http_requests_in_flight') === 6);
    leave.abort();
    await Promise.allSettled(requests);
    await until('they are gone', async () => (await scrape(gateway))('http_requests_in_flight') === 1);
    held.resolve();
  });

  it('is how long calls to the orchestrator took, by what came of them', async () => {
    const series = (code: string) => `upstream_request_duration_seconds_count{method="GetWorkflow",code="${code}"}`;
    const count = async (code: string) => (await scrape(gateway))(series(code)) ?? 0;
    const before = [await count('OK'), await count('NOT_FOUND')];
    assert.equal((await gateway.request(`/v1/workflows/${id}`)).status, 200);
    assert.equal((await gateway.request('/v1/workflows/none')).status, 404);
    assert.deepEqual(
      [await count('OK'), await count('NOT_FOUND')],
      before.map((value) => value + 1),
    );
  });

  it('is what errors it answered with, by their codes, those that have not been among them', async () => {
    const before = await scrape(gateway);
    assert.equal((await gateway.request('/v1/workflows', { headers: { Authorization: '' } })).status, 401);
    assert.equal((await gateway.request('/v1/workflows?page_size=x')).status, 400);
    const now = await scrape(gateway);
    for (const code of ['UNAUTHENTICATED', 'INVALID_ARGUMENT']) {
      const series = `errors_total{code="${code}"}`;
      assert.equal(now(series), before(series)! + 1, code);
    }
    assert.equal(now('errors_total{code="QUOTA_EXCEEDED"}'), 0);
  });

  it('is how many events it has sent, to every reader, and without heartbeats', async () => {
    const watched = fake.put({ spec: { name: 'y' }, state: JobState.RUNNING }).id;
    const before = (await scrape(gateway))('events_sent_total')!;
    const read = async () =>
      collectSse(await fetch(`${gateway.url}/v1/workflows/${watched}/events`, { headers: ADMIN }));
    const readers = [read(), read()];
    await until('both have a snapshot', async () => (await scrape(gateway))('events_sent_total') === before + 2);
    for (const stepId of ['a', 'b']) fake.stepUpdate(watched, { stepId, state: JobState.SUCCEEDED });
    fake.workflowUpdate(watched, JobState.SUCCEEDED);
    const seen = (await Promise.all(readers)).flat().filter(({ event, data }) => data !== undefined && event !== 'end');
    assert.equal(seen.length, 8, 'a snapshot and three events for each');
    assert.equal((await scrape(gateway))('events_sent_total'), before + seen.length);
  });

  it('is that it drains, and in the log what it cut', async () => {
    const drained = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      SHUTDOWN_DELAY_SECONDS: '0.5',
      SHUTDOWN_GRACE_SECONDS: '0.6',
    });
    const held = Promise.withResolvers<void>();
    fake.onCall('listWorkflows', () => held.promise);
    const calls = fake.countCalls('listWorkflows');
    const stuck = fetch(`${drained.url}/v1/workflows`, { headers: ADMIN });
    stuck.catch(() => undefined);
    await until('it is stuck', () => fake.countCalls('listWorkflows') === calls + 1);
    assert.equal((await scrape(drained))('draining'), 0);
    const closed = drained.close();
    assert.equal((await scrape(drained))('draining'), 1);
    await closed;
    await assert.rejects(stuck);
    held.resolve();
    const line = drained.logLines
      .map((text) => JSON.parse(text))
      .find(({ msg }) => msg === 'the shutdown cuts what is still open');
    assert.deepEqual([line?.requests, line?.streams], [1, 0]);
  });
});

describe('what the gateway tells of downloads', () => {
  const small = randomBytes(10);
  const large = randomBytes(5 * 2 ** 20);
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  let pathTo: (bytes: Buffer) => string;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore();
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) });
    const files = [small, large].map((bytes) => ({
      key: sha256(bytes),
      sizeBytes: bytes.length,
      sha256: sha256(bytes),
    }));
    const id = recordFiles(fake, files);
    pathTo = (bytes) => pathOf(id, sha256(bytes));
  });
  after(async () => {
    await gateway?.close();
    await store?.close();
    await fake?.close();
  });

  async function download(path: string, headers: Record<string, string> = {}) {
    const response = await fetch(gateway.url + path, { headers: { ...ADMIN, ...headers } });
    return (await response.arrayBuffer()).byteLength;
  }
  const answers = (outcome: string) => `object_store_request_duration_seconds_count{outcome="${outcome}"}`;

  it('is how many bytes came from the store, of small files and large ones and parts of them', async () => {
    let expected = 0;
    for (const [bytes, headers] of [
      [small, {}],
      [large, {}],
      [small, { Range: 'bytes=2-4' }],
      [large, { Range: 'bytes=0-4999999' }],
      [large, { Range: 'bytes=1-70000' }],
    ] as const) {
      store.behave(serve(bytes));
      expected += await download(pathTo(bytes), headers);
      await until(
        `${expected} bytes`,
        async () => (await scrape(gateway))('object_store_received_bytes_total') === expected,
      );
    }
    assert.equal((await scrape(gateway))(answers('ok')), 5);
  });

  it('is how often the record of a file was remembered', async () => {
    const count = async () => {
      const value = await scrape(gateway);
      return ['hit', 'miss'].map((result) => value(`artifact_record_lookups_total{result="${result}"}`)!);
    };
    assert.deepEqual(await count(), [3, 2]);
  });

  it('is how often the store did not even begin to answer', async () => {
    store.behave((socket) => socket.destroy());
    await download(pathTo(small));
    const value = await scrape(gateway);
    assert.deepEqual([value(answers('ok')), value(answers('failed'))], [5, 1]);
    assert.equal(value('object_store_failures_total{reason="failed"}'), 1);
    assert.equal(value('object_store_failures_total{reason="denied"}'), 0);
  });
});
