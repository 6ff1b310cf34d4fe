import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createArtifactStore } from '../../src/gateway/upstream/artifact-store.ts';
import { createCircuitBreaker } from '../../src/gateway/upstream/circuit-breaker.ts';
import { createRetryBudget } from '../../src/gateway/upstream/retry-budget.ts';
import { createLog } from '../../src/shared/log.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startFakeStripe, stripeSettings } from '../support/fake-stripe.ts';
import { startTestGateway } from '../support/gateway.ts';
import { type OtlpCollector, startOtlpCollector, tracingTo } from '../support/otlp-collector.ts';
import { type ScriptedStore, startScriptedStore } from '../support/scripted-store.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const METADATA = { traceparent: `00-${TRACE}-${PARENT}-01` };
const KEY = 'artifacts/whole.pdb';

describe('the spans of calls to others', () => {
  let collector: OtlpCollector;
  let scripted: ScriptedStore;

  before(async () => {
    [collector, scripted] = await Promise.all([startOtlpCollector(), startScriptedStore()]);
  });
  beforeEach(() => {
    collector.spans.length = 0;
  });
  after(async () => {
    await scripted?.close();
    await collector?.close();
  });

  it('are one for each attempt at the object store', async () => {
    const tracing = await tracingTo(collector)(createLog('test', 'silent'));
    const store = await createArtifactStore({
      endpoint: scripted.url,
      region: 'auto',
      bucket: 'files',
      accessKeyId: 'an-access-key',
      secretAccessKey: 'hunter2',
      pathStyle: true,
      connectTimeoutMs: 1_000,
      answerTimeoutMs: 1_000,
      onFailure: () => {},
      onAnswer: () => {},
      guards: { breaker: createCircuitBreaker(), retryBudget: createRetryBudget() },
      tracing,
    });
    try {
      scripted.put(
        KEY,
        { send: 'HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', close: 'end' },
        { send: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab', close: 'end' },
      );
      const call = { signal: new AbortController().signal, timeLeftMs: () => 1_000, metadata: METADATA };
      const object = { key: KEY, range: undefined, sizeBytes: 2n, call };
      const body = await store.open(object);
      body.destroy();
      const good = await collector.span('S3/GetObject', ({ isError }) => !isError);
      const { hostname, port } = new URL(scripted.url);
      const common = {
        'rpc.system': 'aws-api',
        'rpc.service': 'S3',
        'rpc.method': 'GetObject',
        'server.address': hostname,
        'server.port': Number(port),
        'aws.s3.bucket': 'files',
        'aws.s3.key': KEY,
      };
      assert.deepEqual(good.attributes, { ...common, 'http.response.status_code': 200 });
      assert.deepEqual([good.kind, good.traceId, good.parentSpanId], ['CLIENT', TRACE, PARENT]);
      const bad = await collector.span('S3/GetObject', ({ isError }) => isError);
      assert.deepEqual(bad.attributes, { ...common, 'http.response.status_code': 503, 'error.type': '503' });

      scripted.put(KEY, { send: '', close: 'reset' });
      await assert.rejects(store.open(object));
      await collector.span('S3/GetObject', ({ attributes }) => attributes['error.type'] === 'ECONNRESET');
      for (const secret of ['an-access-key', 'hunter2']) assert.ok(!collector.texts.join().includes(secret));
    } finally {
      store.close();
      await tracing?.close(1_000);
    }
  });

  it('are one of a call to Stripe, which is told nothing of the trace', async () => {
    const [fake, stripe] = await Promise.all([startFakeOrchestrator({ accounts: true }), startFakeStripe()]);
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint, API_KEYS_ENABLED: 'true', ...stripeSettings(stripe) };
    const gateway = await startTestGateway(settings, undefined, tracingTo(collector));
    try {
      const key = 'a-key-of-another-form';
      fake.keys.set(createHash('sha256').update(key).digest('hex'), { principal: 'alice', limit: 0n, used: 0n });
      const order = { credits: 2500, success_url: 'https://a.test/?hunter2', cancel_url: 'https://a.test/' };
      const response = await gateway.post('/v1/billing/checkout', order, { Authorization: `Bearer ${key}` });
      assert.equal(response.status, 200);
      const server = await collector.span('POST /v1/billing/checkout');
      const call = await collector.span('POST');
      assert.deepEqual([call.kind, call.parentSpanId], ['CLIENT', server.spanId]);
      assert.deepEqual(
        [call.attributes['url.full'], call.attributes['http.response.status_code']],
        [`${stripe.url}/v1/checkout/sessions`, 200],
      );
      assert.ok(stripe.requests.every(({ headers }) => !('traceparent' in headers)));
      assert.ok(!collector.texts.join().includes('hunter2'));
    } finally {
      await gateway.close();
      await Promise.all([fake.close(), stripe.close()]);
    }
  });
});
