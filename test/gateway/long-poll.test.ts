import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { readSse } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

describe('workflow reads', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '1',
      UPSTREAM_LOSS_SECONDS: '0.3',
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  const running = () => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
  const read = (id: string, query = '', headers = {}) => gateway.request(`/v1/workflows/${id}${query}`, { headers });
  const stateOf = async (response: Response) => ((await response.json()) as { state: string }).state;

  it('wait for the end, longer than one call to the orchestrator may take', async () => {
    const id = running();
    const asked = read(id, '?wait=30');
    await until('it is waiting', () => fake.openStreams() === 1);
    const waitsSince = performance.now();
    await until('more time has passed than a call has', () => performance.now() - waitsSince > 1_200);
    fake.stepUpdate(id, { stepId: 'a', fraction: 0.5 });
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const response = await within('the answer', asked);
    assert.deepEqual([response.status, await stateOf(response)], [200, 'SUCCEEDED']);
    await until('the upstream is free', () => fake.openStreams() === 0, 1_000);
  });

  it('wait no longer than they are told, and then say how it is', async () => {
    const id = running();
    const askedAt = performance.now();
    const response = await within('the answer', read(id, '?wait=1'));
    assert.equal(await stateOf(response), 'RUNNING');
    assert.ok(performance.now() - askedAt >= 990);
  });

  it('do not count as slow answers', async () => {
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    const id = running();
    await own.request(`/v1/workflows/${id}?wait=1`);
    await own.request(`/v1/workflows/${id}`);
    const reads = async () => {
      const metrics = await (await fetch(`${own.url}/metrics`)).text();
      return [/_requests_total/, /_duration_seconds_count/].map((name) => {
        const lines = metrics.split('\n').filter((line) => name.test(line) && line.includes('"/v1/workflows/{id}"'));
        return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
      });
    };
    await until('both are counted, and only the plain read is timed', async () => String(await reads()) === '2,1');
    await own.close();
  });

  it('do not wait for what is over, nor for what is not there', async () => {
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.FAILED });
    assert.equal(await stateOf(await within('at once', read(id, '?wait=60'), 1_000)), 'FAILED');
    assert.equal((await within('at once', read('none', '?wait=60'), 1_000)).status, 404);
    for (const wait of ['0', '61', '-1', '1.5', 'x', '']) {
      assert.equal((await read(id, `?wait=${wait}`)).status, 400, wait);
    }
  });

  it('share the stream of those who watch', async () => {
    const id = running();
    const stream = await gateway.request(`/v1/workflows/${id}/events`);
    await until('the stream is open', () => fake.openStreams() === 1);
    const events = readSse(stream);
    while ((await events.next()).value?.event !== 'workflow_update');
    const before = fake.countCalls('streamWorkflowEvents');
    const polls = Array.from({ length: 10 }, () => read(id, '?wait=30'));
    await until('all were read', () => fake.countCalls('getWorkflow') >= 11);
    fake.workflowUpdate(id, JobState.CANCELLED);
    const states = await Promise.all((await within('the answers', Promise.all(polls))).map(stateOf));
    assert.deepEqual(new Set(states), new Set(['CANCELLED']));
    assert.equal(fake.countCalls('streamWorkflowEvents'), before);
  });

  it('answer when the process shuts down', async () => {
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, SHUTDOWN_DELAY_SECONDS: '1' });
    const id = running();
    const asked = own.request(`/v1/workflows/${id}?wait=60`);
    await until('it is waiting', () => fake.openStreams() === 1);
    const closed = own.close();
    assert.equal((await own.request(`/v1/workflows/${id}?wait=60`)).status, 503);
    assert.equal(await stateOf(await within('the answer', asked)), 'RUNNING');
    await within('the gateway closes', closed);
  });

  it('say 503 when the orchestrator stays lost while they wait', async () => {
    const lonely = await startFakeOrchestrator();
    const own = await startTestGateway({ ORCHESTRATOR_ENDPOINT: lonely.endpoint, UPSTREAM_LOSS_SECONDS: '0.2' });
    const { id } = lonely.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const asked = own.request(`/v1/workflows/${id}?wait=60`);
    await until('it is waiting', () => lonely.openStreams() === 1);
    await lonely.close();
    assert.equal((await within('the answer', asked)).status, 503);
    await own.close();
  });

  it('have an ETag that changes with what is read, and are 304 while it does not', async () => {
    const id = running();
    for (const path of [`/v1/workflows/${id}`, '/v1/workflows?page_size=100']) {
      const etag = (await gateway.request(path)).headers.get('etag')!;
      assert.match(etag, /^"[\w-]{43}"$/);
      for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const response = await gateway.request(path, { headers: { 'If-None-Match': header } });
        assert.deepEqual([response.status, await response.text(), response.headers.get('etag')], [304, '', etag]);
        assert.equal(response.headers.get('cache-control'), 'private, no-cache');
      }
      const head = await gateway.request(path, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('etag')], [200, etag]);
      fake.workflowUpdate(id, path.includes('?') ? JobState.FAILED : JobState.QUEUED);
      const changed = await gateway.request(path, { headers: { 'If-None-Match': etag } });
      assert.equal(changed.status, 200);
      assert.notEqual(changed.headers.get('etag'), etag);
    }
  });

  it('wait and revalidate together', async () => {
    const id = running();
    const etag = (await read(id)).headers.get('etag')!;
    assert.equal((await read(id, '?wait=1', { 'If-None-Match': etag })).status, 304);
  });
});
