import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway } from '../support/gateway.ts';
import { type OtlpCollector, startOtlpCollector, tracingTo } from '../support/otlp-collector.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const OPEN_METRICS = { Accept: 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5' };

describe('exemplars', () => {
  let collector: OtlpCollector;
  let fake: FakeOrchestrator;

  before(async () => {
    [collector, fake] = await Promise.all([startOtlpCollector(), startFakeOrchestrator()]);
  });
  after(async () => {
    await fake?.close();
    await collector?.close();
  });

  it('are ids of traces in OpenMetrics, while traces are exported', async () => {
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint }, undefined, tracingTo(collector));
    try {
      await gateway.request('/v1/workflows', { headers: { traceparent: `00-${TRACE}-b7ad6b7169203331-01` } });
      await gateway.request('/openapi.json', { headers: { traceparent: `00-${TRACE}-b7ad6b7169203331-00` } });
      const answer = await gateway.request('/metrics', { headers: OPEN_METRICS });
      assert.match(answer.headers.get('content-type')!, /^application\/openmetrics-text; version=1\.0\.0/);
      const open = await answer.text();
      const bucket = /duration_seconds_bucket\{[^}]*path="\/v1\/workflows"\} 1 # (\{[^}]*\}) [\d.e-]+ [\d.]+$/m.exec(
        open,
      );
      assert.equal(bucket?.[1], `{trace_id="${TRACE}"}`);
      assert.equal(open.split(' # {').length, 2, 'none of a trace that is not recorded');
      assert.match(open, /^foldforge_gateway_http_requests_total\{/m);
      assert.match(open, /^# TYPE foldforge_gateway_http_requests counter$/m);
      assert.ok(open.endsWith('\n# EOF\n'));

      const plain = await (await gateway.request('/metrics')).text();
      assert.match(plain, /^# TYPE foldforge_gateway_http_requests_total counter$/m);
      assert.doesNotMatch(plain, /trace_id|# EOF/);
      assert.deepEqual(namesIn(open), namesIn(plain), 'what a dashboard looks for has one name');
    } finally {
      await gateway.close();
    }
  });

  it('are none while traces are off, for nobody', async () => {
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    const answer = await gateway.request('/metrics', { headers: OPEN_METRICS });
    assert.match(answer.headers.get('content-type')!, /^text\/plain/);
    await gateway.close();
  });
});

function namesIn(text: string): string[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return [...new Set(lines.map((line) => /^\w+/.exec(line)![0]))].sort();
}
