import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { pathOf, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type OtlpCollector, startOtlpCollector, tracingTo } from '../support/otlp-collector.ts';
import { type ScriptedStore, startScriptedStore } from '../support/scripted-store.ts';

const KEY = 'artifacts/whole.pdb';

describe('the trace of a download', () => {
  let collector: OtlpCollector;
  let fake: FakeOrchestrator;
  let store: ScriptedStore;
  let gateway: TestGateway;

  before(async () => {
    [collector, fake, store] = await Promise.all([startOtlpCollector(), startFakeOrchestrator(), startScriptedStore()]);
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) };
    gateway = await startTestGateway(settings, undefined, tracingTo(collector));
  });
  after(async () => {
    await gateway?.close();
    await Promise.all([fake?.close(), store?.close(), collector?.close()]);
  });

  it('has the call to the object store', async () => {
    const path = pathOf(recordFiles(fake, [{ key: KEY, sizeBytes: 2 }]), KEY);
    store.put(KEY, { send: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab', close: 'end' });
    assert.equal(await (await gateway.request(path)).text(), 'ab');
    const server = await collector.span('GET /v1/workflows/{id}/artifacts/{key}');
    assert.equal((await collector.span('S3/GetObject')).parentSpanId, server.spanId);
  });

  it('stands in the log with what went wrong', async () => {
    const path = pathOf(recordFiles(fake, [{ key: KEY, sizeBytes: 2 }]), KEY);
    store.put(KEY, { send: '', close: 'reset' });
    assert.equal((await gateway.request(path, { headers: { 'X-Request-Id': 'broken' } })).status, 502);
    const server = await collector.span(
      /artifacts/,
      ({ attributes }) => attributes['foldforge.request_id'] === 'broken',
    );
    const lines = gateway.logLines.filter((line) => line.includes('"broken"')).map((line) => JSON.parse(line));
    const fault = lines.find(({ level }) => level === 'error');
    assert.deepEqual([fault.trace_id, fault.span_id], [server.traceId, server.spanId]);
  });
});
