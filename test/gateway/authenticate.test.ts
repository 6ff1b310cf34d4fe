import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { mintToken } from '../../src/shared/checksummed-token.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/waiting.ts';

const SPEC = { name: 'x', steps: [{ id: 'a', tool: 'af2' }] };
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

describe('credentials', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_TOKEN: 'first-token,second-token',
      API_KEYS_ENABLED: 'true',
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  beforeEach(() => {
    fake.clearFaults();
    fake.calls.length = 0;
  });

  function addKey(principal: string, limit = 0n): string {
    const token = mintToken('ffk');
    fake.keys.set(sha256(token), { principal, limit, used: 0n });
    return token;
  }

  it('refuses strangers before it looks at anything else', async () => {
    for (const headers of [{ Authorization: '' }, bearer('wrong'), { Authorization: 'Basic abc' }, bearer('a b')]) {
      const response = await gateway.request('/v1/workflows?nonsense=1', { headers });
      assert.equal(response.status, 401, JSON.stringify(headers));
      assert.equal(response.headers.get('www-authenticate'), 'Bearer');
      assert.equal(((await response.json()) as { code: string }).code, 'UNAUTHENTICATED');
    }
    const post = await gateway.request('/v1/workflows', { method: 'POST', body: 'junk', headers: bearer('wrong') });
    assert.equal(post.status, 401);
  });

  it('takes each static token, which has no principal and no quota', async () => {
    for (const token of ['first-token', 'second-token']) {
      assert.equal((await gateway.post('/v1/workflows', SPEC, bearer(token))).status, 201);
    }
    assert.equal(fake.countCalls('authenticateApiKey') + fake.countCalls('consumeQuota'), 0);
    assert.ok(fake.calls.every(({ headers }) => headers.get('ff-principal') === null));
  });

  it('asks once for any number of concurrent requests with a new key, and sends only its hash', async () => {
    const token = addKey('alice');
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => gateway.request('/v1/workflows', { headers: bearer(token) })),
    );
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(fake.countCalls('authenticateApiKey'), 1);
    const lists = fake.calls.filter(({ rpc }) => rpc === 'listWorkflows');
    assert.equal(lists.length, 1000);
    assert.ok(lists.every(({ headers }) => headers.get('ff-principal') === 'alice'));
    const everything = JSON.stringify(fake.calls.map(({ request, headers }) => [request, [...headers]]));
    assert.ok(!everything.includes(token.slice(4, 40)), 'the raw key never leaves the gateway');
    assert.ok(!gateway.logLines.join('').includes(token.slice(4, 40)), 'nor does it reach the log');
  });

  it('remembers a refusal, and refuses a bad checksum without asking', async () => {
    const unknown = mintToken('ffk');
    for (let index = 0; index < 3; index++) {
      assert.equal((await gateway.request('/v1/workflows', { headers: bearer(unknown) })).status, 401);
    }
    assert.equal(fake.countCalls('authenticateApiKey'), 1);
    const last = unknown.at(-1) === 'A' ? 'B' : 'A';
    assert.equal(
      (await gateway.request('/v1/workflows', { headers: bearer(unknown.slice(0, -1) + last) })).status,
      401,
    );
    assert.equal(fake.countCalls('authenticateApiKey'), 1);
  });

  it('says so when a key was revoked or has expired', async () => {
    for (const [denyReason, code] of [
      ['revoked', 'KEY_REVOKED'],
      ['key expired', 'KEY_EXPIRED'],
      ['whatever', 'UNAUTHENTICATED'],
    ]) {
      const token = addKey('bob');
      fake.keys.get(sha256(token))!.denyReason = denyReason!;
      const response = await gateway.request('/v1/workflows', { headers: bearer(token) });
      assert.equal(response.status, 401);
      assert.equal(((await response.json()) as { code: string }).code, code);
    }
  });

  it('goes on with remembered keys while the orchestrator cannot be asked', async () => {
    const token = addKey('carol');
    assert.equal((await gateway.request('/v1/billing/balance', { headers: bearer(token) })).status, 200);
    fake.onCall('authenticateApiKey', () => {
      throw new ConnectError('down', Code.Unavailable);
    });
    assert.equal((await gateway.request('/v1/billing/balance', { headers: bearer(token) })).status, 200);
    assert.equal((await gateway.request('/v1/billing/balance', { headers: bearer(addKey('dave')) })).status, 503);
    assert.equal((await gateway.request('/v1/billing/balance', { headers: bearer('first-token') })).status, 200);
  });

  it('never makes an admin of a key without a principal', async () => {
    for (const principal of ['', ' ', ' alice', 'alice\t', 'a\nb', '日本']) {
      const token = addKey(principal);
      assert.equal((await gateway.request('/v1/workflows', { headers: bearer(token) })).status, 500, principal);
    }
    assert.equal(fake.countCalls('listWorkflows'), 0);
  });

  it('tells a stranger nothing of what the orchestrator says of the lookup', async () => {
    for (const code of [Code.NotFound, Code.InvalidArgument, Code.FailedPrecondition, Code.PermissionDenied]) {
      fake.onCall('authenticateApiKey', () => {
        throw new ConnectError('inside', code);
      });
      const response = await gateway.request('/v1/workflows', { headers: bearer(addKey('gina')) });
      assert.equal(response.status, 500);
      assert.doesNotMatch(await response.text(), /inside/);
    }
  });

  it('keeps tenants apart: foreign and missing are the same bytes', async () => {
    const [alice, bob] = [addKey('alice'), addKey('bob')];
    const created = await gateway.post('/v1/workflows', SPEC, bearer(alice));
    const { id } = (await created.json()) as { id: string };
    assert.equal((await gateway.request(`/v1/workflows/${id}`, { headers: bearer(alice) })).status, 200);
    const headers = { ...bearer(bob), 'X-Request-Id': 'same' };
    for (const suffix of ['', '/events', '/artifacts/a.pdb']) {
      const foreign = await gateway.request(`/v1/workflows/${id}${suffix}`, { headers });
      const missing = await gateway.request(`/v1/workflows/${id.replace(/^./, 'z')}${suffix}`, { headers });
      assert.equal(foreign.status, 404);
      assert.equal(await foreign.text(), await missing.text());
    }
  });

  it('counts quota once a submission is well formed, and before it is made', async () => {
    const token = addKey('erin', 2n);
    assert.equal((await gateway.post('/v1/workflows', { name: 'x' }, bearer(token))).status, 400);
    assert.equal(fake.countCalls('consumeQuota'), 0, 'a typing error costs nothing');
    assert.equal((await gateway.post('/v1/workflows', SPEC, bearer(token))).status, 201);
    assert.equal((await gateway.post('/v1/workflows', SPEC, bearer(token))).status, 201);
    assert.equal((await gateway.request('/v1/workflows', { headers: bearer(token) })).status, 200);
    const refused = await gateway.post('/v1/workflows', SPEC, bearer(token));
    assert.equal(refused.status, 429);
    assert.equal(((await refused.json()) as { code: string }).code, 'QUOTA_EXCEEDED');
    assert.equal(fake.countCalls('submitWorkflow'), 2);
    const order = fake.calls.map(({ rpc }) => rpc).filter((rpc) => rpc === 'consumeQuota' || rpc === 'submitWorkflow');
    assert.deepEqual(order.slice(0, 2), ['consumeQuota', 'submitWorkflow']);
  });

  it('forgets a key that was revoked after it was remembered', async () => {
    const token = addKey('frank');
    assert.equal((await gateway.post('/v1/workflows', SPEC, bearer(token))).status, 201);
    fake.keys.get(sha256(token))!.denyReason = 'revoked';
    const refused = await gateway.post('/v1/workflows', SPEC, bearer(token));
    assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [401, 'KEY_REVOKED']);
    await until('reads are refused too', async () => {
      const read = await gateway.request('/v1/workflows', { headers: bearer(token) });
      return read.status === 401;
    });
  });

  it('asks nobody for a credential it does not know while API keys are off', async () => {
    const off = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    assert.equal((await off.request('/v1/workflows', { headers: bearer(addKey('x')) })).status, 401);
    assert.equal(fake.countCalls('authenticateApiKey'), 0);
    await off.close();
  });
});
