import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { GatewayError } from '../../src/gateway/errors.ts';
import { createArtifactStore } from '../../src/gateway/upstream/artifact-store.ts';
import { createRetryBudget } from '../../src/gateway/upstream/retry-budget.ts';
import { createNoGuards, pathOf, readFailures, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type Behaviour, serve, startRawStore } from '../support/raw-store.ts';
import { until } from '../support/waiting.ts';

const BODY = Buffer.from('0123456789');

const answer =
  (head: string): Behaviour =>
  (socket) =>
    socket.end(`HTTP/1.1 ${head}\r\nContent-Length: 8\r\nConnection: close\r\n\r\n<Error/>`);

describe('a store that is in trouble', () => {
  let fake: FakeOrchestrator;
  let path: string;
  before(async () => {
    fake = await startFakeOrchestrator();
    path = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: BODY.length }]), 'a/b');
  });
  after(() => fake.close());

  async function startScene(
    t: TestContext,
    behaviour: Behaviour,
    settings: Record<string, string> = {},
    parts: Parameters<typeof startTestGateway>[3] = {},
  ) {
    const store = await startRawStore(behaviour);
    const gateway = await startTestGateway(
      { ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url), ...settings },
      undefined,
      undefined,
      parts,
    );
    t.after(async () => {
      await gateway.close();
      await store.close();
    });
    return { store, gateway };
  }

  async function download(gateway: TestGateway) {
    const response = await gateway.request(path);
    const text = await response.text();
    if (response.status === 200) return text;
    const { code, retryable } = JSON.parse(text) as { code: string; retryable: boolean };
    return { status: response.status, code, retryable, retryAfter: response.headers.get('retry-after') };
  }

  const readGauge = async (gateway: TestGateway, name: string) =>
    Number(
      new RegExp(`^foldforge_gateway_${name} (\\S+)$`, 'm').exec(await (await gateway.request('/metrics')).text())?.[1],
    );

  it('is left alone after five failures in a row, and found at once when it is back', async (t) => {
    const { store, gateway } = await startScene(t, answer('503 Slow Down'));
    const unavailable = { status: 502, code: 'STORE_UNAVAILABLE', retryable: true, retryAfter: '1' };
    await until('it is left alone', async () => {
      assert.deepEqual(await download(gateway), unavailable);
      return (await readGauge(gateway, 'object_store_circuit_open')) === 1;
    });
    const asked = store.requests.length;
    assert.equal(asked, 5);
    for (let index = 0; index < 20; index++) assert.deepEqual(await download(gateway), unavailable);
    assert.ok(store.requests.length <= asked + 1, 'but for a trial');
    assert.ok((await readFailures(gateway)).circuit_open! >= 19);

    store.behave(serve(BODY));
    const backAt = performance.now();
    await until('it is found', async () => (await download(gateway)) === BODY.toString());
    assert.ok(performance.now() - backAt < 2_000, `after ${performance.now() - backAt} ms`);
    assert.equal(await readGauge(gateway, 'object_store_circuit_open'), 0);
    assert.equal(await download(gateway), BODY.toString());
  });

  it('is left alone when it gives no answer in time', async (t) => {
    const { store, gateway } = await startScene(t, () => undefined, { OBJECT_STORE_READ_TIMEOUT_SECONDS: '0.1' });
    const ends = await Promise.all(Array.from({ length: 5 }, () => download(gateway)));
    for (const end of ends) assert.ok(typeof end === 'object' && end.code === 'DEADLINE_EXCEEDED');
    const end = await download(gateway);
    assert.ok(typeof end === 'object' && end.code === 'STORE_UNAVAILABLE');
    assert.equal(store.requests.length, 5);
  });

  it('is no store that refuses or lacks single files', async (t) => {
    for (const head of ['404 Not Found', '403 Forbidden', '400 Bad Request', '416 Range Not Satisfiable']) {
      const { store, gateway } = await startScene(t, answer(head));
      for (let index = 1; index <= 8; index++) {
        const end = await download(gateway);
        assert.ok(typeof end === 'object' && end.code === 'STORE_ERROR', head);
        assert.equal(store.requests.length, index, head);
      }
    }
  });

  it('is not found by what is no answer of a store', async (t) => {
    const { store, gateway } = await startScene(t, answer('503 Slow Down'));
    await until('it is left alone', async () => {
      await download(gateway);
      return (await readGauge(gateway, 'object_store_circuit_open')) === 1;
    });
    store.behave((socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n'));
    const asked = store.requests.length;
    await until('it is tried out', async () => {
      await download(gateway);
      return store.requests.length > asked;
    });
    assert.equal(await readGauge(gateway, 'object_store_circuit_open'), 1);
  });

  it('gets no more than a tenth of its load again', async (t) => {
    const { breaker } = createNoGuards();
    const storeGuards = { breaker, retryBudget: createRetryBudget() };
    const { store, gateway } = await startScene(t, answer('500 Internal Error'), {}, { storeGuards });
    const calls = 100;
    for (let index = 0; index < calls; index++) await download(gateway);
    // The first ten are there from the beginning.
    assert.equal(store.requests.length, calls + calls / 10 + 10);
  });

  it('is not asked for a client that has gone, or when the time is up', async (t) => {
    const raw = await startRawStore(serve(BODY));
    const settings = storeSettings(raw.url);
    const store = await createArtifactStore({
      endpoint: raw.url,
      region: 'auto',
      bucket: settings.R2_BUCKET,
      accessKeyId: settings.R2_ACCESS_KEY_ID,
      secretAccessKey: settings.R2_SECRET_ACCESS_KEY,
      pathStyle: true,
      connectTimeoutMs: 1_000,
      answerTimeoutMs: 1_000,
      onFailure: () => assert.fail('it has not failed'),
      onAnswer: () => assert.fail('it was not asked'),
      guards: createNoGuards(),
    });
    t.after(async () => {
      store.close();
      await raw.close();
    });
    const object = { key: 'a/b', range: undefined, sizeBytes: 10n };
    const call = { signal: new AbortController().signal, timeLeftMs: () => 1_000, metadata: {} };
    const withCode = (code: string) => (error: unknown) => error instanceof GatewayError && error.code === code;
    await assert.rejects(
      store.open({ ...object, call: { ...call, signal: AbortSignal.abort() } }),
      withCode('CLIENT_CLOSED_REQUEST'),
    );
    await assert.rejects(
      store.open({ ...object, call: { ...call, timeLeftMs: () => 0 } }),
      withCode('DEADLINE_EXCEEDED'),
    );
    assert.equal(raw.requests.length, 0);
  });

  it('is not asked a second time when the time is up by then', async (t) => {
    const { store, gateway } = await startScene(
      t,
      (socket) => setTimeout(() => socket.destroy(), 250),
      { ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '0.2' },
      { storeGuards: createNoGuards() },
    );
    const end = await download(gateway);
    assert.ok(typeof end === 'object' && end.code === 'STORE_UNAVAILABLE');
    assert.equal(store.requests.length, 1);
  });
});
