import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { createArtifactRecords } from '../../src/gateway/access/artifact-records.ts';
import { startDeadline } from '../../src/gateway/context.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import { WorkflowSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { pathOf, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type RawStore, serve, startRawStore } from '../support/raw-store.ts';
import { until } from '../support/waiting.ts';

const FILE = Buffer.from('0123456789');
const TTL_SECONDS = 0.2;

describe('what is remembered of artifacts', () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  let forgetful: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore(serve(FILE));
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint, API_KEYS_ENABLED: 'true', ...storeSettings(store.url) };
    gateway = await startTestGateway(settings);
    forgetful = await startTestGateway({ ...settings, AUTH_CACHE_TTL_SECONDS: String(TTL_SECONDS) });
    for (const principal of ['alice', 'bob', 'carol']) {
      fake.keys.set(sha256(Buffer.from(`${principal}-key`)), { principal, limit: 0n, used: 0n });
    }
  });
  after(async () => {
    await gateway.close();
    await forgetful.close();
    await store.close();
    await fake.close();
  });

  const as = (name: string) => ({ Authorization: `Bearer ${name}-key` });
  const record = (file: { sha256?: string } = { sha256: sha256(FILE) }, owner = 'alice') =>
    pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: FILE.length, ...file }], owner), 'a/b');

  /** The status, and how often the orchestrator was asked for the workflow. */
  async function ask(path: string, headers: Record<string, string>, asked = gateway) {
    const before = fake.countCalls('getWorkflow');
    const response = await asked.request(path, { headers });
    await response.arrayBuffer();
    return [response.status, fake.countCalls('getWorkflow') - before];
  }

  it('is the record, so that the next range costs no call', async () => {
    const path = record();
    assert.deepEqual(await ask(path, { ...as('alice'), Range: 'bytes=0-4' }), [206, 1]);
    assert.deepEqual(await ask(path, { ...as('alice'), Range: 'bytes=5-9' }), [206, 0]);
    assert.deepEqual(await ask(path, { ...as('alice'), 'If-None-Match': `"${sha256(FILE)}"` }), [304, 0]);
    assert.deepEqual(await ask(path, { ...as('alice'), Range: 'bytes=10-' }), [416, 0]);
  });

  it('is for its principal alone', async () => {
    const path = record();
    assert.deepEqual(await ask(path, as('alice')), [200, 1]);
    assert.deepEqual(await ask(path, as('bob')), [404, 1]);
    assert.deepEqual(await ask(path, as('bob')), [404, 1], 'a refusal is not remembered');
    assert.deepEqual(await ask(path, {}), [200, 1], 'the admin is yet another');
    assert.deepEqual(await ask(path, as('bob')), [404, 1], 'also after the admin');
    assert.deepEqual(await ask(path, as('alice')), [200, 0]);
    const nobodys = record(undefined, 'null');
    assert.deepEqual(await ask(nobodys, {}), [200, 1]);
    assert.deepEqual(await ask(nobodys, as('alice')), [404, 1]);
  });

  it('is nothing of a file without a SHA-256, or that is none', async () => {
    const unsure = record({});
    const missing = record().replace(/b$/, 'c');
    const bad = record().replace(/b$/, '%zz');
    for (let time = 0; time < 2; time++) {
      assert.deepEqual(await ask(unsure, as('alice')), [200, 1]);
      assert.deepEqual(await ask(missing, as('alice')), [404, 1]);
      assert.deepEqual(await ask(bad, as('alice')), [404, 1]);
    }
  });

  it('is forgotten with the key, however often it is asked for', async () => {
    const path = record();
    await ask(path, as('alice'), forgetful);
    const calls = fake.countCalls('getWorkflow');
    const startedAt = performance.now();
    await until('the orchestrator is asked again', async () => {
      assert.equal((await ask(path, as('alice'), forgetful))[0], 200);
      return fake.countCalls('getWorkflow') > calls;
    });
    assert.ok(performance.now() - startedAt < 4_000);
  });

  it('does not help a revoked key', async () => {
    const path = record(undefined, 'carol');
    assert.deepEqual(await ask(path, as('carol'), forgetful), [200, 1]);
    Object.assign(fake.keys.get(sha256(Buffer.from('carol-key')))!, { denyReason: 'revoked' });
    await until('the key is refused', async () => (await ask(path, as('carol'), forgetful))[0] === 401);
    const calls = store.requests.length;
    assert.deepEqual(await ask(path, as('carol'), forgetful), [401, 0]);
    assert.equal(store.requests.length, calls);
  });

  it('has a bound', async () => {
    let asked = 0;
    const records = createArtifactRecords({
      bucket: 'b',
      ttlMs: 60_000,
      metrics: createMetrics(),
      orchestrator: {
        async getWorkflow({ workflowId }) {
          asked++;
          const outputs = [{ uri: `r2://b/${workflowId}`, sizeBytes: 1n, sha256: 'a'.repeat(64) }];
          return create(WorkflowSchema, { stepStatuses: [{ stepId: 'a', outputs }] });
        },
      },
    });
    const call = { signal: new AbortController().signal, timeLeftMs: startDeadline(1_000), metadata: {} };
    const find = (index: number) => records.find(`w${index}`, `w${index}`, { principal: 'alice' }, call);
    for (let index = 0; index <= 10_000; index++) await find(index);
    await find(10_000);
    assert.equal(asked, 10_001, 'the newest is remembered');
    await find(0);
    assert.equal(asked, 10_002, 'the oldest has made room');
  });
});
