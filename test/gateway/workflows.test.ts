import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { SubmitWorkflowRequest } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const SPEC = {
  name: 'binder',
  labels: { project: 'spike' },
  steps: [
    { id: 'backbone', tool: 'rfdiffusion', params: { contigs: '100-120', nested: { list: [1, 'two', null, true] } } },
    {
      id: 'sequence',
      tool: 'proteinmpnn',
      depends_on: ['backbone'],
      resources: { gpu_type: 'a100', memory_mb: 16000 },
    },
  ],
};

const nested = (depth: number): unknown => (depth === 0 ? 1 : { n: nested(depth - 1) });

describe('workflow routes', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  beforeEach(() => {
    fake.clearFaults();
    fake.calls.length = 0;
  });

  it('submits: 201, Location, and the spec as it was sent', async () => {
    const response = await gateway.post('/v1/workflows', SPEC, {
      'Idempotency-Key': '"key \\"1\\""'.replace(' ', '-'),
    });
    assert.equal(response.status, 201);
    const body = (await response.json()) as { id: string; steps: unknown[]; labels: unknown };
    assert.equal(response.headers.get('location'), `/v1/workflows/${body.id}`);
    assert.deepEqual(body.labels, SPEC.labels);
    assert.deepEqual(body.steps, [
      { ...SPEC.steps[0], depends_on: [] },
      { ...SPEC.steps[1], params: {}, resources: { gpu_type: 'a100', gpu_count: 1, memory_mb: 16000 } },
    ]);
    const submit = fake.calls.find(({ rpc }) => rpc === 'submitWorkflow')!;
    assert.equal((submit.request as SubmitWorkflowRequest).idempotencyKey, 'key-"1"');
    assert.equal(submit.headers.get('ff-principal'), null);
  });

  it('reads, cancels, retries and ranks', async () => {
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.FAILED });
    assert.equal(((await (await gateway.request(`/v1/workflows/${id}`)).json()) as { state: string }).state, 'FAILED');
    const retried = await gateway.request(`/v1/workflows/${id}/retry`, { method: 'POST' });
    assert.equal(((await retried.json()) as { state: string }).state, 'QUEUED');
    const again = await gateway.request(`/v1/workflows/${id}/retry`, { method: 'POST' });
    assert.equal(again.status, 400);
    assert.equal(((await again.json()) as { code: string }).code, 'FAILED_PRECONDITION');
    const cancelled = await gateway.request(`/v1/workflows/${id}`, { method: 'DELETE' });
    assert.equal(((await cancelled.json()) as { state: string }).state, 'CANCELLED');
    const ranked = await gateway.post(`/v1/workflows/${id}/rank`, {
      metric: 'plddt',
      maximize: false,
      filters: [{ metric: 'pae', max: 5 }],
      top_k: 3,
    });
    assert.equal(((await ranked.json()) as { total_ranked: number }).total_ranked, 1);
    const { request } = fake.calls.at(-1)!;
    const { metric, maximize, topK, filters } = request as Record<string, unknown> & { filters: object[] };
    assert.deepEqual({ metric, maximize, topK }, { metric: 'plddt', maximize: false, topK: 3 });
    assert.deepEqual({ ...filters[0], $typeName: undefined }, { metric: 'pae', max: 5, $typeName: undefined });
  });

  it('shows every digit of a 64-bit size, and leaves out what is unset', async () => {
    const { id } = fake.put({
      spec: { name: 'x', steps: [{ id: 'a', tool: 'af2' }] },
      state: 17 as JobState,
      stepStatuses: [
        {
          stepId: 'a',
          fraction: 0.1,
          outputs: [
            { uri: 'r2://b/k', sizeBytes: 18_446_744_073_709_551_615n, metrics: { good: 1.5, bad: Number.NaN } },
          ],
        },
      ],
    });
    const text = await (await gateway.request(`/v1/workflows/${id}`)).text();
    assert.match(text, /"size_bytes":18446744073709551615,/);
    assert.match(text, /"state":"UNKNOWN"/);
    assert.match(text, /"fraction":0\.1,/);
    assert.match(text, /"metrics":\{"good":1\.5\}/);
    assert.doesNotMatch(text, /null|started_at|"error"/);
  });

  it('lists with filters, and pages by Link', async () => {
    for (let index = 0; index < 3; index++) fake.put({ spec: { name: `page ${index}` } });
    const first = await gateway.request('/v1/workflows?page_size=2&state=RUNNING&label=a=b=c&label=d%3De');
    const { request } = fake.calls.at(-1)!;
    const { pageSize, stateFilter, labelSelector } = request as Record<string, unknown>;
    assert.deepEqual(
      { pageSize, stateFilter, labelSelector },
      { pageSize: 2, stateFilter: JobState.RUNNING, labelSelector: { a: 'b=c', d: 'e' } },
    );
    const link = /^<([^>]+)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1];
    assert.ok(link, 'Link: rel="next"');
    const next = new URL(link, gateway.url).searchParams;
    assert.deepEqual(next.getAll('label'), ['a=b=c', 'd=e']);
    assert.equal((await gateway.request(link)).status, 200);

    await gateway.request('/v1/workflows');
    assert.equal((fake.calls.at(-1)!.request as { pageSize: number }).pageSize, 20, 'the default of the contract');
    const single = await gateway.request('/v1/workflows?label=a%3Db');
    assert.equal(single.status, 200);
    const clash = await gateway.request('/v1/workflows?label=a%3Db&label=a%3Dc');
    assert.equal(clash.status, 400);
  });

  it('says what is wrong with a body, and where', async () => {
    const step = { id: 'a', tool: 'af2' };
    const cases: [body: unknown, pointer: string, message: RegExp][] = [
      [{ ...SPEC, name: '' }, '/name', /fewer than 1/],
      [{ steps: [step] }, '/name', /required/],
      [{ name: 'x', steps: [] }, '/steps', /fewer than 1/],
      [{ name: 'x', steps: [{ ...step, tool: 'magic' }] }, '/steps/0/tool', /rfdiffusion/],
      [{ name: 'x', steps: [{ ...step, id: 'a b' }] }, '/steps/0/id', /pattern/],
      [{ name: 'x', steps: [{ ...step, depends: ['b'] }] }, '/steps/0/depends', /additional/],
      [{ name: 'x', steps: [step], extra: 1 }, '/extra', /additional/],
      [{ name: 'x', steps: [step], labels: { a: 1 } }, '/labels/a', /string/],
      [{ name: 7, steps: [step] }, '/name', /string/],
      [{ name: 'x', steps: [step], labels: { 'a=b': '1' } }, '/labels', /pattern/],
      [
        { name: 'x', steps: [step, { ...step, params: { a: nested(40) } }] },
        `/steps/1/params/a${'/n'.repeat(31)}`,
        /deeper/,
      ],
      [[], '', /object/],
      [null, '', /object/],
    ];
    for (const [body, pointer, message] of cases) {
      const response = await gateway.post('/v1/workflows', body);
      assert.equal(response.status, 400, JSON.stringify(body));
      const { code, errors } = (await response.json()) as {
        code: string;
        errors: { pointer: string; message: string }[];
      };
      assert.equal(code, 'INVALID_ARGUMENT');
      assert.equal(errors[0]?.pointer, pointer, JSON.stringify({ body, errors }));
      assert.match(errors[0]!.message, message);
    }
    assert.equal(fake.calls.length, 0, 'nothing wrong ever reaches the orchestrator');
  });

  it('refuses params that would arrive as something else', async () => {
    const submit = (params: string) =>
      gateway.request('/v1/workflows', {
        method: 'POST',
        body: `{"name":"x","steps":[{"id":"a","tool":"af2","params":${params}}]}`,
        headers: { 'Content-Type': 'application/json' },
      });
    assert.equal((await submit('{"a":{"__proto__":{"b":1}}}')).status, 400);
    assert.equal((await submit('{"a":[1e999]}')).status, 400);
    assert.equal((await submit(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`)).status, 400);
    const odd = await submit('{"constructor":1,"toString":[null,"",-0.5],"":{}}');
    const { steps } = (await odd.json()) as { steps: { params: object }[] };
    assert.deepEqual(steps[0]?.params, { constructor: 1, toString: [null, '', -0.5], '': {} });
  });

  it('says which parameter is wrong', async () => {
    const cases: [target: string, pointer: string][] = [
      ['/v1/workflows?page_size=0', '#/query/page_size'],
      ['/v1/workflows?page_size=101', '#/query/page_size'],
      ['/v1/workflows?page_size=ten', '#/query/page_size'],
      ['/v1/workflows?page_size=1&page_size=2', '#/query/page_size'],
      ['/v1/workflows?state=running', '#/query/state'],
      ['/v1/workflows?label=novalue', '#/query/label/0'],
      ['/v1/workflows?colour=red', '#/query/colour'],
      ['/v1/workflows?label[]=a=b', '#/query/label[]'],
      ['/v1/workflows?page_size=0x10', '#/query/page_size'],
      ['/v1/workflows?page_token=', '#/query/page_token'],
      ['/v1/workflows/a%20b', '#/path/id'],
      ['/v1/workflows/x?verbose=1', '#/query/verbose'],
      ['/v1/billing/ledger?limit=201', '#/query/limit'],
    ];
    for (const [target, pointer] of cases) {
      const response = await gateway.request(target);
      assert.equal(response.status, 400, target);
      const { errors } = (await response.json()) as { errors: { pointer: string }[] };
      assert.equal(errors[0]?.pointer, pointer, target);
    }
    const badKey = await gateway.post('/v1/workflows', SPEC, { 'Idempotency-Key': 'has space' });
    assert.equal(badKey.status, 400);
  });

  it('refuses what is not JSON in UTF-8', async () => {
    const send = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
      gateway.request('/v1/workflows', { method: 'POST', body, headers });
    const json = { 'Content-Type': 'application/json' };
    assert.equal((await send('{"name":', json)).status, 400);
    assert.equal((await send('', json)).status, 400);
    assert.equal((await send(new Uint8Array([0x22, 0xff, 0x22]), json)).status, 400);
    assert.equal((await send('{}', { 'Content-Type': 'text/plain' })).status, 415);
    assert.equal((await send(new Uint8Array([0x7b, 0x7d]), {})).status, 415);
    assert.equal((await send('{}', { ...json, 'Content-Encoding': 'gzip' })).status, 415);
    const charset = await send(JSON.stringify(SPEC), { 'Content-Type': 'Application/JSON; Charset="UTF-8"' });
    assert.equal(charset.status, 201);
  });

  it('passes request id and trace context on, with what is left of the deadline', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const response = await gateway.request('/v1/workflows', {
      headers: { 'X-Request-Id': 'my.request-1', traceparent, tracestate: 'vendor=1' },
    });
    assert.equal(response.headers.get('x-request-id'), 'my.request-1');
    const { headers, timeoutMs } = fake.calls.at(-1)!;
    assert.equal(headers.get('x-request-id'), 'my.request-1');
    assert.equal(headers.get('traceparent'), traceparent);
    assert.equal(headers.get('tracestate'), 'vendor=1');
    assert.ok(timeoutMs! > 5_000 && timeoutMs! <= 10_000, `grpc-timeout ${timeoutMs}`);
    const strange = await gateway.request('/v1/workflows', { headers: { 'X-Request-Id': 'a b', traceparent: 'junk' } });
    assert.notEqual(strange.headers.get('x-request-id'), 'a b');
    assert.equal(fake.calls.at(-1)!.headers.get('traceparent'), null);
  });

  it('names the step that the orchestrator refuses', async () => {
    fake.onCall('submitWorkflow', () => {
      throw new ConnectError('step "b" depends on "c", which does not exist', Code.InvalidArgument);
    });
    const response = await gateway.post('/v1/workflows', SPEC);
    assert.equal(response.status, 400);
    assert.match(((await response.json()) as { message: string }).message, /^step "b" depends/);
  });

  it('answers balance and ledger exactly', async () => {
    assert.deepEqual(await (await gateway.request('/v1/billing/balance')).json(), { balance: 0 });
    assert.deepEqual(await (await gateway.request('/v1/billing/ledger')).json(), { entries: [] });
    assert.equal((fake.calls.at(-1)!.request as { limit: number }).limit, 20);
  });

  it('says the same of a URL each time it comes, whatever came before', async () => {
    const { id } = fake.put({ state: JobState.RUNNING });
    const list = '/v1/workflows?page_size=7&state=RUNNING&label=a%3D1&label=b%3D2';
    const ask = async (path: string, headers: Record<string, string> = {}) => {
      const response = await gateway.request(path, { headers });
      return [response.status, response.headers.get('etag'), await response.text()];
    };
    const first = {
      read: await ask(`/v1/workflows/${id}`),
      list: await ask(list),
      bad: await ask(`${list}&page_size=0`),
    };
    assert.deepEqual([first.read[0], first.list[0], first.bad[0]], [200, 200, 400]);
    const notModified = await ask(`/v1/workflows/${id}`, { 'If-None-Match': String(first.read[1]) });
    assert.equal(notModified[0], 304);
    const again = {
      read: await ask(`/v1/workflows/${id}`),
      list: await ask(list),
      bad: await ask(`${list}&page_size=0`),
    };
    assert.deepEqual([again.read, again.list, again.bad[0]], [first.read, first.list, 400]);
    const lists = fake.calls.filter(({ rpc }) => rpc === 'listWorkflows').map(({ request }) => request);
    assert.equal(lists.length, 2);
    assert.deepEqual(lists[1], lists[0]);
  });
});
