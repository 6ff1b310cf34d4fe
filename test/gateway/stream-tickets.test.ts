import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { createStreamTickets } from '../../src/gateway/access/stream-tickets.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { mintToken } from '../../src/shared/checksummed-token.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { collectSse } from '../support/sse-client.ts';
import { until } from '../support/waiting.ts';

const OLD = 'an-old-secret-of-at-least-32-characters';
const NEW = 'a-new-secret-of-at-least-32-characters!';
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const NOBODY = { headers: { Authorization: '' } };

describe('stream tickets', () => {
  const key = mintToken('ffk');
  const keyHash = createHash('sha256').update(key).digest('hex');
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  const start = (settings = {}) =>
    startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      AUTH_CACHE_TTL_SECONDS: '0.05',
      STREAM_TICKET_SECRETS: OLD,
      ...settings,
    });
  const running = (owner = 'alice') => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }, owner).id;

  /** What the gateway answers without an Authorization header. */
  async function redeem(url: string, own = gateway): Promise<Response> {
    const response = await fetch(own.url + url, { signal: AbortSignal.timeout(5_000) });
    if (response.status === 200) {
      await collectSse(response, (seen) => seen.some(({ event }) => event === 'workflow_update'));
    }
    return response;
  }
  async function mint(id: string, token = key, own = gateway): Promise<{ ticket: string; url: string }> {
    const response = await own.request(`/v1/workflows/${id}/stream-tickets`, {
      method: 'POST',
      headers: bearer(token),
    });
    assert.equal(response.status, 201);
    return (await response.json()) as { ticket: string; url: string };
  }

  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await start();
    fake.keys.set(keyHash, { principal: 'alice', limit: 0n, used: 0n });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });

  it('open the stream of their workflow, as who asked for them', async () => {
    const id = running();
    const response = await gateway.request(`/v1/workflows/${id}/stream-tickets`, {
      method: 'POST',
      headers: bearer(key),
    });
    const { url, expires_at } = (await response.json()) as { url: string; expires_at: string };
    const leftMs = Date.parse(expires_at) - Date.now();
    assert.ok(leftMs > 50_000 && leftMs <= 60_000, `${leftMs} ms`);
    assert.equal((await redeem(url)).status, 200);
    assert.equal((await redeem(`${url}&last_event_id=0&heartbeat=event`)).status, 200);
    const calls = fake.calls.filter(({ rpc }) => rpc === 'getWorkflow' || rpc === 'streamWorkflowEvents');
    for (const { headers } of calls) assert.equal(headers.get('ff-principal'), 'alice');
  });

  it('of the static token see what it sees, and nothing but their workflow', async () => {
    const { url, ticket } = await mint(running(), 'dev-token');
    assert.equal((await redeem(url)).status, 200);
    assert.equal((await redeem(`/v1/workflows/${running()}/events?ticket=${ticket}`)).status, 401);
  });

  it('are only for what the caller may see', async () => {
    for (const id of [running('bob'), 'none']) {
      const path = `/v1/workflows/${id}/stream-tickets`;
      const response = await gateway.request(path, { method: 'POST', headers: bearer(key) });
      assert.equal(response.status, 404);
    }
    const stranger = await gateway.request(`/v1/workflows/${running()}/stream-tickets`, {
      method: 'POST',
      ...NOBODY,
    });
    assert.equal(stranger.status, 401);
  });

  it('are good for event streams alone', async () => {
    const id = running();
    const { ticket } = await mint(id);
    for (const path of [`/v1/workflows/${id}`, '/v1/workflows', `/v1/workflows/${id}/artifacts/x`]) {
      assert.equal((await gateway.request(`${path}?ticket=${ticket}`, NOBODY)).status, 401, path);
      assert.equal((await gateway.request(path, { headers: bearer(ticket) })).status, 401, path);
    }
  });

  it('are refused once their key is', async () => {
    const short = mintToken('ffk');
    const hash = createHash('sha256').update(short).digest('hex');
    fake.keys.set(hash, { principal: 'alice', limit: 0n, used: 0n });
    const { url } = await mint(running(), short);
    assert.equal((await redeem(url)).status, 200);
    fake.keys.get(hash)!.denyReason = 'revoked';
    await until('the cache has forgotten it', async () => (await redeem(url)).status === 401);
    const { code } = (await (await gateway.request(url, NOBODY)).json()) as { code: string };
    assert.equal(code, 'KEY_REVOKED');
  });

  it('work at every replica that shares the secret, and through its rotation', async () => {
    const [rotating, rotated, other] = await Promise.all([
      start({ STREAM_TICKET_SECRETS: `${NEW},${OLD}` }),
      start({ STREAM_TICKET_SECRETS: NEW }),
      start({ STREAM_TICKET_SECRETS: '' }),
    ]);
    const id = running();
    const old = await mint(id);
    const fresh = await mint(id, key, rotating);
    const statuses: Record<string, number[]> = {};
    for (const [name, own] of Object.entries({ gateway, rotating, rotated, other })) {
      statuses[name] = [(await redeem(old.url, own)).status, (await redeem(fresh.url, own)).status];
    }
    assert.deepEqual(statuses, {
      gateway: [200, 401],
      rotating: [200, 200],
      rotated: [401, 200],
      other: [401, 401],
    });
    assert.ok(other.logLines.some((line) => /STREAM_TICKET_SECRETS is not set/.test(line)));
    assert.ok(!gateway.logLines.some((line) => /STREAM_TICKET_SECRETS/.test(line)));
    await Promise.all([rotating.close(), rotated.close(), other.close()]);
  });

  it('run out, and are bound to every character', () => {
    let now = 1_000_000;
    const tickets = createStreamTickets([OLD], () => now);
    const caller = { principal: 'alice', keyHash: 'a'.repeat(64) };
    const { ticket, expiresAtMs } = tickets.mint('w', caller);
    assert.deepEqual(tickets.redeem(ticket, 'w'), caller);
    assert.deepEqual(tickets.redeem(tickets.mint('w', {}).ticket, 'w'), {});
    now = expiresAtMs - 1;
    assert.deepEqual(tickets.redeem(ticket, 'w'), caller);
    now = expiresAtMs;
    assert.throws(() => tickets.redeem(ticket, 'w'), /run out/);
    now = 1_000_000;
    assert.throws(() => tickets.redeem(ticket, 'v'), /another workflow/);
    fc.assert(
      fc.property(fc.nat({ max: ticket.length - 1 }), fc.constantFrom(...'Aa0_-.=x'), (index, character) => {
        const changed = ticket.slice(0, index) + character + ticket.slice(index + 1);
        // The last character of 43 carries two bits that decoders do not look at.
        if (Buffer.from(changed, 'base64url').equals(Buffer.from(ticket, 'base64url')) && changed[4 + 0] !== '.')
          return;
        if (changed === ticket) return;
        assert.throws(() => tickets.redeem(changed, 'w'), /not valid/);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (junk) =>
        assert.throws(() => tickets.redeem(junk, 'w'), { code: 'UNAUTHENTICATED' }),
      ),
    );
  });

  it('are not mixed with other credentials', async () => {
    const { url } = await mint(running());
    const both = await gateway.request(url, { headers: bearer(key) });
    assert.equal(both.status, 400);
    const twice = await gateway.request(`${url}&ticket=fft_x.y`, NOBODY);
    assert.equal(twice.status, 400);
  });

  it('are what a long-lived key in a URL is told to be replaced with, on every route, and it is logged nowhere', async () => {
    const id = running();
    const paths = [`/v1/workflows/${id}/events`, `/v1/workflows/${id}`, '/v1/workflows', '/v1/billing/balance'];
    const queries = [
      `token=${key}`,
      `access_token=${key}`,
      `api_key=x`,
      `apiKey=x`,
      `ticket=${key}`,
      `label=a&x=${key}`,
    ];
    for (const path of paths) {
      for (const query of queries) {
        const response = await gateway.request(`${path}?${query}`, NOBODY);
        assert.equal(response.status, 400, `${path}?${query}`);
        const text = await response.text();
        assert.match(text, /stream-tickets/);
        assert.ok(!text.includes(key));
      }
    }
    const admin = await gateway.request(`/v1/workflows/${id}/events?ticket=dev-token`, NOBODY);
    assert.match(await admin.text(), /stream-tickets/);
    const { ticket, url } = await mint(id);
    await redeem(url);
    const log = gateway.logLines.join('');
    assert.ok(!log.includes(key) && !log.includes(ticket) && log.includes('stream-tickets'));
  });
});
