import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { storeSettings } from '../support/artifact-records.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startTestObjectStore } from '../support/object-store.ts';
import { startRawStore } from '../support/raw-store.ts';
import { until } from '../support/waiting.ts';

const QUICK = { READINESS_PERIOD_SECONDS: '0.05' };

async function startScene(t: TestContext, settings: Record<string, string> = {}) {
  const fake = await startFakeOrchestrator({ health: true });
  const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...settings });
  t.after(async () => {
    await gateway.close();
    await fake.close();
  });
  return { fake, gateway };
}

function noDatabase(): never {
  throw new ConnectError('no database', Code.Unavailable);
}

const readyz = async (gateway: TestGateway, query = '') => (await gateway.request(`/v1/readyz${query}`)).status;
const linesWith = (gateway: TestGateway, text: string) => gateway.logLines.filter((line) => line.includes(text));

async function readUp(gateway: TestGateway, dependency: string): Promise<string | undefined> {
  const text = await (await gateway.request('/metrics')).text();
  return new RegExp(`^foldforge_gateway_dependency_up\\{dependency="${dependency}"\\} (\\S+)$`, 'm').exec(text)?.[1];
}

describe('readiness', () => {
  it('is asked once, however many want to know', async (t) => {
    const { fake, gateway } = await startScene(t);
    let answer: () => void = () => undefined;
    fake.onCall('check', () => new Promise<void>((resolve) => (answer = resolve)));
    const probes = [1, 2, 3].map(() => readyz(gateway));
    await until('the check arrives', () => fake.countCalls('check') > 0);
    await gateway.request('/v1/healthz');
    answer();
    assert.deepEqual(await Promise.all(probes), [200, 200, 200]);
    fake.onCall('check', noDatabase);
    for (let index = 0; index < 20; index++) assert.equal(await readyz(gateway), 200, 'as was known');
    assert.deepEqual([fake.countCalls('check'), fake.countCalls('listWorkflows')], [1, 0]);
  });

  it('comes with the first success, and the gateway asks by itself', async (t) => {
    const { fake, gateway } = await startScene(t, QUICK);
    fake.onCall('check', noDatabase);
    await until('it has asked', () => fake.countCalls('check') > 1);
    assert.equal(await readyz(gateway), 503);
    assert.equal(await readUp(gateway, 'orchestrator'), '0');
    fake.clearFaults();
    await until('it is ready', async () => (await readyz(gateway)) === 200);
    assert.equal(await readUp(gateway, 'orchestrator'), '1');
    assert.equal(await readUp(gateway, 'object_store'), undefined, 'there is none');
    assert.deepEqual([linesWith(gateway, 'not ready').length, linesWith(gateway, 'ready again').length], [1, 1]);
  });

  it('outlives a blip, and goes with the third failure in a row', async (t) => {
    const { fake, gateway } = await startScene(t, QUICK);
    assert.equal(await readyz(gateway), 200);
    let failures = 0;
    let most = 2;
    fake.onCall('check', () => {
      if (failures === most) return;
      failures++;
      noDatabase();
    });
    await until('two have failed', () => failures === 2);
    const asked = fake.countCalls('check');
    await until('the next were good', () => fake.countCalls('check') > asked + 1);
    assert.equal(await readyz(gateway), 200);
    assert.deepEqual(linesWith(gateway, 'not ready'), []);

    most = Number.POSITIVE_INFINITY;
    await until('it is not ready', async () => (await readyz(gateway)) === 503);
    assert.ok(failures >= 5, `after ${failures - 2} failures in a row`);
    const [line, ...others] = linesWith(gateway, 'not ready: no orchestrator serves');
    assert.deepEqual(others, []);
    assert.match(line!, /no database/);
    assert.doesNotMatch(await (await gateway.request('/v1/readyz')).text(), /database/);
    fake.clearFaults();
    await until('it is ready again', async () => (await readyz(gateway)) === 200);
    assert.equal(linesWith(gateway, 'ready again').length, 1);
  });

  it('may be told to go with the first failure', async (t) => {
    const { fake, gateway } = await startScene(t, { ...QUICK, READINESS_FAILURE_THRESHOLD: '1' });
    assert.equal(await readyz(gateway), 200);
    let failed = false;
    fake.onCall('check', () => {
      if (failed) return new Promise(() => undefined);
      failed = true;
      noDatabase();
    });
    await until('it is not ready', async () => (await readyz(gateway)) === 503);
  });

  it('has nothing to do with the object store, which is watched all the same', async (t) => {
    const store = await startRawStore();
    t.after(store.close);
    const { gateway } = await startScene(t, { ...QUICK, ...storeSettings(store.url) });
    assert.equal(await readyz(gateway), 200);
    await until('the store is known to fail', async () => (await readUp(gateway, 'object_store')) === '0');
    assert.equal(await readyz(gateway), 200);
    const missing = '<Error><Code>NoSuchKey</Code></Error>';
    store.behave((socket) => socket.write(`HTTP/1.1 404 X\r\nContent-Length: ${missing.length}\r\n\r\n${missing}`));
    await until('the store is known to serve', async () => (await readUp(gateway, 'object_store')) === '1');
    assert.equal(linesWith(gateway, 'the object store does not serve').length, 1);
    assert.equal(linesWith(gateway, 'the object store serves again').length, 1);
  });
});

describe('deep readiness', () => {
  async function ask(gateway: TestGateway) {
    const response = await gateway.request('/v1/readyz?deep=true', { headers: { Authorization: '' } });
    return { http: response.status, text: await response.text() };
  }

  it('says how each dependency is, as it is now, and to the log alone why', async (t) => {
    const store = await startTestObjectStore();
    t.after(store.close);
    const { fake, gateway } = await startScene(t, storeSettings(store.url));
    assert.equal(await readyz(gateway), 200);
    assert.deepEqual(await ask(gateway), {
      http: 200,
      text: '{"status":"ready","checks":{"orchestrator":"ok","object_store":"ok"}}',
    });
    fake.onCall('check', noDatabase);
    await until('that is old', async () => (await ask(gateway)).http === 503);
    assert.deepEqual(await ask(gateway), {
      http: 503,
      text: '{"status":"unavailable","checks":{"orchestrator":"failing","object_store":"ok"}}',
    });
    assert.match(linesWith(gateway, 'a deep probe failed').join(), /no database/);
    assert.equal(await readyz(gateway), 200, 'the other answer has patience');
  });

  it('is asked once for all who come within a second', async (t) => {
    const { fake, gateway } = await startScene(t);
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask(gateway)));
    for (const { text } of [...answers, await ask(gateway)]) {
      assert.equal(text, '{"status":"ready","checks":{"orchestrator":"ok","object_store":"not_configured"}}');
    }
    assert.equal(fake.countCalls('check'), 1);
    assert.equal(await readyz(gateway, '?deep=maybe'), 400);
    assert.equal(await readyz(gateway, '?deep=false'), 200);
  });

  for (const [what, settings] of [
    ['a wrong secret', { R2_SECRET_ACCESS_KEY: 'wrong' }],
    ['a bucket that is not there', { R2_BUCKET: 'another-bucket' }],
    ['a store that is away', { R2_ENDPOINT: 'http://127.0.0.1:1' }],
  ] as const) {
    it(`finds ${what}`, async (t) => {
      const store = await startTestObjectStore();
      t.after(store.close);
      const { gateway } = await startScene(t, { ...storeSettings(store.url), ...settings });
      const { http, text } = await ask(gateway);
      assert.equal(http, 503);
      assert.equal(text, '{"status":"unavailable","checks":{"orchestrator":"ok","object_store":"failing"}}');
      const [line] = linesWith(gateway, 'a deep probe failed');
      assert.match(line!, /the object store: .*"dependency":"object_store"/);
      assert.doesNotMatch(line!, /test-secret/);
    });
  }

  it('takes a store that does not let it list for one that serves', async (t) => {
    const denied = '<Error><Code>AccessDenied</Code></Error>';
    const store = await startRawStore((socket) =>
      socket.write(`HTTP/1.1 403 X\r\nContent-Length: ${denied.length}\r\n\r\n${denied}`),
    );
    t.after(store.close);
    const { gateway } = await startScene(t, storeSettings(store.url));
    assert.equal((await ask(gateway)).http, 200);
  });
});
