import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { BUCKET, faultsOf, pathOf, readFailures, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway } from '../support/gateway.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { startTestObjectStore } from '../support/object-store.ts';
import { startRawStore } from '../support/raw-store.ts';

describe('a store that gives no answer', () => {
  let fake: FakeOrchestrator;
  before(async () => {
    fake = await startFakeOrchestrator();
  });
  after(() => fake.close());

  async function ask(t: TestContext, endpoint: string, settings: Record<string, string> = {}) {
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(endpoint),
      ...settings,
    });
    t.after(gateway.close);
    const path = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: 1 }]), 'a/b');
    const response = await gateway.request(path, { headers: { 'X-Request-Id': 'r' } });
    const { code, retryable } = (await response.json()) as { code: string; retryable: boolean };
    assert.deepEqual(
      faultsOf(gateway, 'r').map((fault) => fault.code),
      [code],
    );
    const failures = await readFailures(gateway);
    return { status: response.status, code, retryable, failures };
  }

  it('refuses connections', async (t) => {
    const server = createServer();
    const port = await listenOnLoopback(server);
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(await ask(t, `http://127.0.0.1:${port}`), {
      status: 502,
      code: 'STORE_UNAVAILABLE',
      retryable: true,
      failures: { unreachable: 1 },
    });
  });

  it('neither takes nor refuses connections', async (t) => {
    const blackhole = await startBlackhole();
    t.after(blackhole.close);
    const outcome = await ask(t, blackhole.url, { OBJECT_STORE_CONNECT_TIMEOUT_SECONDS: '0.4' });
    const expected = { status: 504, code: 'DEADLINE_EXCEEDED', retryable: true, failures: { unreachable: 1 } };
    assert.deepEqual(outcome, expected);
  });

  it('takes the request and is silent', async (t) => {
    const silent = await startRawStore(() => undefined);
    t.after(silent.close);
    const outcome = await ask(t, silent.url, { OBJECT_STORE_READ_TIMEOUT_SECONDS: '0.5' });
    assert.equal(silent.requests.length, 1, 'what took too long is not repeated');
    assert.deepEqual(outcome, { status: 504, code: 'DEADLINE_EXCEEDED', retryable: true, failures: { slow: 1 } });
  });

  it('is not there at all, which only they hear who may see the file', async (t) => {
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, R2_BUCKET: BUCKET });
    t.after(gateway.close);
    const path = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: 1 }]), 'a/b');
    assert.equal((await gateway.request(path, { headers: { Authorization: 'Bearer wrong' } })).status, 401);
    assert.equal((await gateway.request(`${path}c`)).status, 404);
    assert.equal((await gateway.request(path, { method: 'HEAD' })).status, 503);
    const response = await gateway.request(path);
    const { code, retryable } = (await response.json()) as { code: string; retryable: boolean };
    assert.deepEqual([response.status, code, retryable], [503, 'NOT_CONFIGURED', false]);
  });

  it('is a real one that knows another secret', async (t) => {
    const real = await startTestObjectStore();
    t.after(real.close);
    const outcome = await ask(t, real.url, { R2_SECRET_ACCESS_KEY: 'wrong' });
    assert.deepEqual(outcome, { status: 502, code: 'STORE_ERROR', retryable: false, failures: { denied: 1 } });
  });
});
