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
      PRINCIPAL_REQUESTS_PER_SECOND: '0',
      PRINCIPAL_MAX_IN_FLIGHT: '1000',
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

describe('credentials in masses', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator({ accounts: true });
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      AUTH_MAX_LOOKUPS: '4',
      AUTH_FAILURES_PER_MINUTE: '6',
      TRUSTED_PROXIES: '127.0.0.1/32',
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

  /** A read with a key from an address. */
  async function read(token: string, address: string, target = '/v1/workflows') {
    const response = await gateway.request(target, {
      headers: { ...(token ? bearer(token) : { Authorization: '' }), 'X-Forwarded-For': address },
    });
    const { code } = (await response.json()) as { code?: string };
    const { headers } = response;
    const [retryAfter, challenge] = [headers.get('retry-after'), headers.get('www-authenticate')];
    return { status: response.status, code, retryAfter, challenge };
  }

  function addKey(expiresAt?: Date): string {
    const token = mintToken('ffk');
    fake.keys.set(sha256(token), { principal: 'alice', limit: 0n, used: 0n, ...(expiresAt && { expiresAt }) });
    return token;
  }

  /** Good, as the orchestrator says, but not to be remembered for longer than this moment: each use is a lookup. */
  const addForgottenKey = () => addKey(new Date(1));

  async function lookups(result: string): Promise<number> {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    const [, count] = new RegExp(`^foldforge_gateway_api_key_lookups_total{result="${result}"} (\\d+)$`, 'm').exec(
      text,
    )!;
    return Number(count);
  }

  it('are refused without a lookup once too many of their network were, but for those that are good', async () => {
    const [address, neighbour, other] = ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:3::1'];
    const [known, forgotten] = [addKey(), addForgottenKey()];
    for (const token of [known, forgotten]) assert.equal((await read(token, address)).status, 200);
    for (let index = 0; index < 3; index++)
      assert.equal((await read(mintToken('ffk'), address)).code, 'UNAUTHENTICATED');
    for (const junk of ['guess', 'guess', 'dev-tokem']) {
      const { status, challenge } = await read(junk, neighbour);
      assert.deepEqual([status, challenge], [401, 'Bearer']);
    }
    fake.calls.length = 0;
    const before = await lookups('limited');
    for (const [token, from] of [
      [mintToken('ffk'), address],
      ['dev-tokem', neighbour],
      [addKey(), address],
    ] as const) {
      const { status, code, retryAfter, challenge } = await read(token, from);
      assert.deepEqual([status, code, challenge], [429, 'RATE_LIMITED', null]);
      assert.ok(Number(retryAfter) >= 9 && Number(retryAfter) <= 10, `one comes back in 10 s, not ${retryAfter}`);
    }
    assert.equal((await lookups('limited')) - before, 3);
    assert.equal(fake.countCalls('authenticateApiKey'), 0);

    assert.equal((await read('dev-token', address)).status, 200);
    assert.equal((await read('', address)).code, 'UNAUTHENTICATED', 'who sends no credential guesses none');
    assert.equal((await read(known, address)).status, 200);
    assert.equal(fake.countCalls('authenticateApiKey'), 0);
    assert.equal((await read(forgotten, address)).status, 200);
    assert.equal(fake.countCalls('authenticateApiKey'), 1, 'a key that was good is looked up');
    assert.equal((await read(mintToken('ffk'), other)).code, 'UNAUTHENTICATED', 'the next network is another one');
  });

  it('that are tickets count as well, and a good ticket is good from everywhere', async () => {
    const [address, token] = ['192.0.2.7', addKey()];
    const created = await gateway.post('/v1/workflows', SPEC, bearer(token));
    const { id } = (await created.json()) as { id: string };
    const minted = await gateway.post(`/v1/workflows/${id}/stream-tickets`, {}, bearer(token));
    const { ticket } = (await minted.json()) as { ticket: string };
    const open = (ticket: string) => read('', address, `/v1/workflows/${id}/events?ticket=${ticket}`);
    const forged = `${ticket.slice(0, -4)}AAAA`;
    for (let index = 0; index < 6; index++) assert.equal((await open(forged)).status, 401);
    assert.equal((await open(forged)).code, 'RATE_LIMITED');
    const response = await fetch(`${gateway.url}/v1/workflows/${id}/events?ticket=${ticket}`, {
      headers: { 'X-Forwarded-For': address },
    });
    assert.equal(response.status, 200);
    await response.body!.cancel();
  });

  it('wait for a slow orchestrator in small numbers and for a second, and the others are told to come again at once', async () => {
    const recent = addForgottenKey();
    assert.equal((await read(recent, '192.0.2.10')).status, 200);
    fake.calls.length = 0;
    const slow = Promise.withResolvers<void>();
    fake.onCall('authenticateApiKey', () => slow.promise);
    const before = await lookups('refused');

    const junk = Array.from({ length: 200 }, (_, index) => read(mintToken('ffk'), `198.51.100.${index}`));
    const honest = [read(recent, '192.0.2.10'), read(recent, '192.0.2.11')];
    await until('the lookups are under way', () => fake.countCalls('authenticateApiKey') === 5);
    await until('the others have their answer', async () => (await lookups('refused')) - before === 196);
    assert.equal((await read('dev-token', '198.51.100.1')).status, 200);
    slow.resolve();
    const statuses = (await Promise.all(junk)).map(({ status, retryAfter }) => `${status} ${retryAfter}`);
    assert.deepEqual(Map.groupBy(statuses, (status) => status).get('503 1')?.length, 196, 'also those who waited');
    assert.deepEqual(Map.groupBy(statuses, (status) => status).get('401 null')?.length, 4);
    assert.deepEqual(
      (await Promise.all(honest)).map(({ status }) => status),
      [200, 200],
    );
    assert.equal(fake.countCalls('authenticateApiKey'), 5);
  });

  it('are counted where there are no API keys, too', async () => {
    const plain = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, AUTH_FAILURES_PER_MINUTE: '2' });
    const statusWith = async (token: string) =>
      (await plain.request('/v1/workflows', { headers: bearer(token) })).status;
    const statuses = [];
    for (const token of ['a', 'b', 'c', 'dev-token']) statuses.push(await statusWith(token));
    assert.deepEqual(statuses, [401, 401, 429, 200]);
    const lines = () => plain.logLines.filter((line) => line.includes('"status":429'));
    await until('it is logged', () => lines().length === 1);
    assert.match(lines()[0]!, /"level":"debug"/, 'a flood does not fill a disk');
    await plain.close();
  });
});
