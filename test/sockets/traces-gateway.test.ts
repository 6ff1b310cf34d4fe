import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type OtlpCollector, startOtlpCollector, tracingTo } from '../support/otlp-collector.ts';
import { readSse } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const SERVICE = 'foldforge.orchestrator.v1.OrchestratorService';
const SPEC = { name: 'a', steps: [{ id: 'a', tool: 'af2' }] };

describe('the spans of the gateway', () => {
  let collector: OtlpCollector;
  let fake: FakeOrchestrator;
  let gateway: TestGateway;

  const start = (settings: Record<string, string> = {}, otel: Record<string, string> = {}) =>
    startTestGateway(
      { ORCHESTRATOR_ENDPOINT: fake.endpoint, API_KEYS_ENABLED: 'true', ...settings },
      undefined,
      tracingTo(collector, otel),
    );

  before(async () => {
    [collector, fake] = await Promise.all([
      startOtlpCollector(),
      startFakeOrchestrator({ health: true, accounts: true, replay: true }),
    ]);
    gateway = await start();
  });
  beforeEach(() => {
    collector.spans.length = 0;
  });
  after(async () => {
    await gateway?.close();
    await fake?.close();
    await collector?.close();
  });

  const lastCall = (rpc: string) => fake.calls.findLast((call) => call.rpc === rpc)!;
  const requestLine = (gateway: TestGateway, requestId: string) =>
    JSON.parse(gateway.logLines.find((line) => line.includes(requestId) && line.includes('"msg":"request"')) ?? '{}');

  it('are one of the request and one of each call, in the trace of the caller', async () => {
    const response = await gateway.post('/v1/workflows', SPEC, {
      traceparent: `00-${TRACE}-${CALLER}-01`,
      tracestate: 'vendor=1',
      'X-Request-Id': 'traced-1',
    });
    assert.equal(response.status, 201);
    const server = await collector.span('POST /v1/workflows');
    assert.deepEqual(
      [server.kind, server.traceId, server.parentSpanId, server.traceState, server.isError],
      ['SERVER', TRACE, CALLER, 'vendor=1', false],
    );
    assert.deepEqual(server.attributes, {
      'http.request.method': 'POST',
      'http.route': '/v1/workflows',
      'http.response.status_code': 201,
      'url.scheme': 'http',
      'url.path': '/v1/workflows',
      'server.address': '127.0.0.1',
      'server.port': gateway.port,
      'network.protocol.version': '1.1',
      'foldforge.request_id': 'traced-1',
    });
    const client = await collector.span(`${SERVICE}/AcceptWorkflow`);
    assert.deepEqual([client.kind, client.traceId, client.parentSpanId], ['CLIENT', TRACE, server.spanId]);
    assert.deepEqual(client.attributes, {
      'rpc.system': 'grpc',
      'rpc.service': SERVICE,
      'rpc.method': 'AcceptWorkflow',
      'rpc.grpc.status_code': 0,
      'server.address': '127.0.0.1',
      'server.port': fake.port,
    });
    const { headers } = lastCall('acceptWorkflow');
    assert.equal(headers.get('traceparent'), `00-${TRACE}-${client.spanId}-01`);
    assert.equal(headers.get('tracestate'), 'vendor=1');
    const line = requestLine(gateway, 'traced-1');
    assert.deepEqual([line.trace_id, line.span_id], [TRACE, server.spanId]);
  });

  it('begin a trace of their own for a caller without one, or with one that is none', async () => {
    for (const traceparent of ['', `00-${'0'.repeat(32)}-${CALLER}-01`, `ff-${TRACE}-${CALLER}-01`]) {
      collector.spans.length = 0;
      await gateway.request('/v1/workflows?label=secret%3Dhunter2', {
        headers: traceparent ? { traceparent, tracestate: 'vendor=1' } : {},
      });
      const server = await collector.span('GET /v1/workflows');
      assert.deepEqual([server.parentSpanId, server.traceState], ['', ''], traceparent);
      assert.match(server.traceId, /^(?!0{32})[0-9a-f]{32}$/);
      assert.notEqual(server.traceId, TRACE);
      const client = await collector.span(`${SERVICE}/ListWorkflows`);
      assert.deepEqual([client.traceId, client.parentSpanId], [server.traceId, server.spanId]);
      assert.equal(server.attributes['url.path'], '/v1/workflows', 'without its query');
      assert.equal(lastCall('listWorkflows').headers.has('tracestate'), false);
    }
    assert.ok(!collector.texts.join().includes('hunter2'));
  });

  it('are not recorded for a caller whose trace is not, which the orchestrator is told', async () => {
    await gateway.request('/v1/workflows', { headers: { traceparent: `00-${TRACE}-${CALLER}-00` } });
    const told = lastCall('listWorkflows').headers.get('traceparent')!;
    assert.match(told, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    assert.notEqual(told.slice(36, 52), CALLER, 'a span of ours, all the same');
    // One that is recorded comes after it.
    await gateway.request('/v1/billing/ledger');
    await collector.span('GET /v1/billing/ledger');
    assert.deepEqual(
      collector.spans.filter(({ traceId }) => traceId === TRACE),
      [],
    );
  });

  it('tell of a key by its public id, and of its lookup', async () => {
    const key = 'a-key-of-another-form';
    const hash = createHash('sha256').update(key).digest('hex');
    fake.keys.set(hash, { principal: 'alice', limit: 0n, used: 0n, keyId: 'key-1' });
    await gateway.request('/v1/workflows', { headers: { Authorization: `Bearer ${key}` } });
    const server = await collector.span('GET /v1/workflows');
    assert.equal(server.attributes['enduser.id'], 'key-1');
    const lookup = await collector.span(`${SERVICE}/AuthenticateApiKey`);
    assert.equal(lookup.parentSpanId, server.spanId);
    const exported = collector.texts.join('\n');
    for (const secret of [key, hash, 'alice', 'dev-token']) assert.ok(!exported.includes(secret), secret);
  });

  it('tell of refusals and faults by their codes, and of no path that is not ours', async () => {
    fake.onCall('getBalance', () => {
      throw new ConnectError('hunter2 at /var/lib', Code.Internal);
    });
    await gateway.request('/v1/billing/balance');
    const failed = await collector.span('GET /v1/billing/balance');
    assert.deepEqual(
      [failed.isError, failed.attributes['error.type'], failed.attributes['http.response.status_code']],
      [true, '500', 500],
    );
    const call = await collector.span(`${SERVICE}/GetBalance`);
    assert.deepEqual(
      [call.isError, call.attributes['error.type'], call.attributes['rpc.grpc.status_code']],
      [true, 'INTERNAL', Code.Internal],
    );
    await gateway.request('/v1/workflows/none');
    const missing = await collector.span('GET /v1/workflows/{id}');
    assert.equal(missing.attributes['url.path'], '/v1/workflows/{id}', 'which is no id');
    assert.deepEqual([missing.isError, missing.attributes['http.response.status_code']], [false, 404]);
    const asked = await collector.span(`${SERVICE}/GetWorkflow`);
    assert.deepEqual([asked.isError, asked.attributes['error.type']], [true, 'NOT_FOUND']);
    await fetch(`${gateway.url}/hunter2`);
    const stranger = await collector.span('GET');
    assert.deepEqual(
      [stranger.attributes['url.path'], stranger.attributes['http.route'], stranger.isError],
      [undefined, undefined, false],
    );
    assert.ok(!collector.texts.join('\n').includes('hunter2'));
  });

  it('leave out probes, and their calls', async () => {
    for (const probe of ['/v1/healthz', '/v1/readyz', '/metrics']) {
      await gateway.request(probe, { headers: { traceparent: `00-${TRACE}-${CALLER}-01`, Authorization: '' } });
    }
    await gateway.request('/openapi.json');
    await collector.span('GET /openapi.json');
    assert.deepEqual(
      collector.spans.map(({ name }) => name),
      ['GET /openapi.json'],
    );
  });

  it('of an event stream end when it is open', async () => {
    const { id } = fake.put({ spec: { name: 'a' }, state: JobState.RUNNING });
    const leave = new AbortController();
    const headers = { 'X-Request-Id': 'watched' };
    const response = await gateway.request(`/v1/workflows/${id}/events`, { signal: leave.signal, headers });
    const events = readSse(response);
    await within('an event', events.next());
    const server = await collector.span('GET /v1/workflows/{id}/events');
    assert.equal(server.attributes['http.response.status_code'], 200);
    assert.equal(server.attributes['url.path'], `/v1/workflows/${id}/events`);
    const opening = await collector.span(`${SERVICE}/StreamWorkflowEvents`);
    assert.deepEqual([opening.parentSpanId, opening.isError], [server.spanId, false]);
    assert.match(
      lastCall('streamWorkflowEvents').headers.get('traceparent')!,
      new RegExp(`^00-${server.traceId}-${opening.spanId}-01$`),
    );
    leave.abort();
    await until('the stream is over', () => requestLine(gateway, 'watched').status);
    assert.equal(requestLine(gateway, 'watched').span_id, server.spanId);
    assert.equal(collector.spans.filter(({ name }) => name === server.name).length, 1);
  });

  it('of an event stream that is silent end, too, and without an error when its reader leaves', async () => {
    const { id } = fake.put({ spec: { name: 'a' }, state: JobState.RUNNING });
    const leave = new AbortController();
    const headers = { 'Last-Event-ID': '5' };
    const response = await gateway.request(`/v1/workflows/${id}/events`, { signal: leave.signal, headers });
    assert.equal(response.status, 200);
    // For as long as there is no event.
    const opening = await collector.span(`${SERVICE}/StreamWorkflowEvents`);
    assert.equal(opening.isError, false);
    leave.abort();
  });

  it('are two for a call that is made again elsewhere', async () => {
    const other = await startFakeOrchestrator({ health: true, accounts: true });
    const both = await start({ ORCHESTRATOR_ENDPOINT: `${fake.endpoint},${other.endpoint}` });
    try {
      for (const server of [fake, other]) {
        server.onCall('listLedger', () => {
          if (server === fake) throw new ConnectError('not now', Code.Unavailable);
        });
      }
      // Both are asked in turn, so one of two requests comes to the one that refuses, once both are connected.
      const isRepeated = ({ attributes }: { readonly attributes: object }) => 'foldforge.resend_count' in attributes;
      await until('a call is made again', async () => {
        // 503 as long as only the one that refuses is connected.
        await both.request('/v1/billing/ledger');
        return collector.spans.some(isRepeated);
      });
      const second = collector.spans.find(isRepeated)!;
      const attempts = collector.spans.filter(({ parentSpanId }) => parentSpanId === second.parentSpanId);
      assert.deepEqual(
        attempts.map(({ attributes }) => [attributes['rpc.grpc.status_code'], attributes['foldforge.resend_count']]),
        [
          [Code.Unavailable, undefined],
          [0, 1],
        ],
      );
      const told = other.calls.map(({ headers }) => headers.get('traceparent')?.slice(36, 52));
      assert.ok(told.includes(second.spanId), 'the second server is told of the second span');
      assert.equal(attempts[0]!.attributes['server.address'], undefined, 'which of several it was is not known');
    } finally {
      await both.close();
      await other.close();
    }
  });

  for (const transport of ['session', 'stock']) {
    it(`are the same over the transport ${transport}`, async () => {
      const { id } = fake.put({ spec: { name: 'a' }, state: JobState.SUCCEEDED });
      const another = await start({ ORCHESTRATOR_TRANSPORT: transport });
      try {
        await another.request(`/v1/workflows/${id}`);
        const server = await collector.span('GET /v1/workflows/{id}');
        const client = await collector.span(`${SERVICE}/GetWorkflow`);
        assert.equal(client.parentSpanId, server.spanId);
        assert.equal(lastCall('getWorkflow').headers.get('traceparent')?.slice(36, 52), client.spanId);
        const response = await another.request(`/v1/workflows/${id}/events`);
        await response.text();
        const stream = await collector.span('GET /v1/workflows/{id}/events');
        const opening = await collector.span(`${SERVICE}/StreamWorkflowEvents`);
        assert.deepEqual([opening.parentSpanId, opening.isError], [stream.spanId, false]);
      } finally {
        await another.close();
      }
    });
  }

  it('are chosen by the sampler', async () => {
    const traced = (gateway: TestGateway, traceId: string) =>
      gateway.request('/v1/workflows', { headers: { traceparent: `00-${traceId}-${CALLER}-00` } });
    const off = await start({}, { OTEL_TRACES_SAMPLER: 'always_off' });
    await off.request('/v1/workflows');
    await off.close();
    assert.deepEqual(collector.spans, [], 'all that there was has been exported by now');
    assert.match(lastCall('listWorkflows').headers.get('traceparent')!, /-00$/);

    // By the last digits of the trace's id, so that all programs choose the same.
    const ratio = await start({}, { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' });
    const ids = Array.from({ length: 40 }, (_, index) => createHash('md5').update(String(index)).digest('hex'));
    for (const id of ids) await traced(ratio, id);
    await ratio.close();
    const chosen = new Set(collector.spans.map(({ traceId }) => traceId));
    assert.ok(chosen.size > 5 && chosen.size < 35, `${chosen.size} of ${ids.length}`);
    assert.equal(collector.spans.length, 2 * chosen.size, 'a trace as a whole, or nothing of it');
  });

  it('go out as JSON, compressed and with headers, where that is asked for', async () => {
    const another = await start(
      {},
      {
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
        OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=a%20b',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
      },
    );
    await another.request('/v1/workflows');
    await another.close();
    const server = await collector.span('GET /v1/workflows');
    assert.equal(server.service, 'foldforge-gateway');
    assert.equal(server.resource['deployment.environment.name'], 'test');
    assert.equal((await collector.span(`${SERVICE}/ListWorkflows`)).parentSpanId, server.spanId);
    const { path, headers } = collector.requests.at(-1)!;
    assert.equal(path, '/v1/traces');
    assert.deepEqual(
      [headers['content-type'], headers['content-encoding'], headers['x-tenant']],
      ['application/json', 'gzip', 'a b'],
    );
  });
});
