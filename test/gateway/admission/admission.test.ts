import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { JobState } from '../../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { requestText } from '../../support/raw-http.ts';
import { until } from '../../support/waiting.ts';

const SPEC = { name: 'x', steps: [{ id: 'a', tool: 'rfdiffusion' }] };
const bearer = (name: string) => ({ Authorization: `Bearer the-key-of-${name}` });
const know = (fake: FakeOrchestrator, ...names: string[]) => {
  for (const name of names) {
    const hash = createHash('sha256').update(`the-key-of-${name}`).digest('hex');
    fake.keys.set(hash, { principal: name, limit: 0n, used: 0n });
  }
};

async function codeOf(response: Response): Promise<string> {
  return response.status < 400 ? String(response.status) : ((await response.json()) as { code: string }).code;
}

async function metric(gateway: TestGateway, name: string): Promise<number> {
  const text = await (await gateway.request('/metrics')).text();
  return Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
}

describe('room for requests', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  let id: string;
  let answer = Promise.withResolvers<void>();
  let pending: Promise<Response>[] = [];
  beforeEach(() => {
    ({ id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }));
  });
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      CORS_ALLOWED_ORIGINS: 'https://app.example.org',
      IN_FLIGHT_MIN: '10',
      IN_FLIGHT_MAX: '10',
      PRINCIPAL_MAX_IN_FLIGHT: '5',
    });
    know(fake, 'alice', 'bob');
  });
  afterEach(async () => {
    answer.resolve();
    for (const response of await Promise.all(pending)) await response.text();
    pending = [];
    answer = Promise.withResolvers();
    fake.clearFaults();
    await until('nothing is worked on', async () => (await metric(gateway, WORKING)) === 0);
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });

  const WORKING = 'foldforge_gateway_working_requests';
  /** Requests whose answers do not come before the test is over. */
  async function hold(count: number, name?: string): Promise<void> {
    fake.onCall('listWorkflows', () => answer.promise);
    const before = await metric(gateway, WORKING);
    const headers = name === undefined ? {} : bearer(name);
    for (let each = 0; each < count; each++) pending.push(gateway.request('/v1/workflows', { headers }));
    await until('they are worked on', async () => (await metric(gateway, WORKING)) === before + count);
  }
  const read = (headers: Record<string, string> = {}) => gateway.request(`/v1/workflows/${id}`, { headers });

  it('runs out for reads first, then for the rest; never for probes, metrics, DELETE and streams that come back', async () => {
    const watch = async (headers: Record<string, string> = {}) => {
      const leave = new AbortController();
      const response = await gateway.request(`/v1/workflows/${id}/events`, { headers, signal: leave.signal });
      const code = await codeOf(response);
      leave.abort();
      return code;
    };
    const submit = async () => codeOf(await gateway.post('/v1/workflows', SPEC));
    const ask = async () => [await watch(), await codeOf(await read()), await submit()];
    await hold(8);
    assert.deepEqual(await ask(), ['200', '200', '201']);
    await hold(1);
    assert.deepEqual(await ask(), ['200', 'OVERLOADED', '201']);
    fake.onCall('submitWorkflow', () => answer.promise);
    pending.push(gateway.post('/v1/workflows', SPEC));
    await until('it is worked on', async () => (await metric(gateway, WORKING)) === 10);
    assert.deepEqual(await ask(), ['OVERLOADED', 'OVERLOADED', 'OVERLOADED']);
    assert.equal(await watch({ 'Last-Event-ID': '0' }), '200');
    assert.equal((await gateway.request('/v1/healthz')).status, 200);
    assert.equal((await gateway.request('/openapi.json')).status, 200);
    assert.equal((await gateway.request(`/v1/workflows/${id}`, { method: 'DELETE' })).status, 200);
  });

  it('is refused with Retry-After, readable by pages, without a call, without a line in the log, and counted', async () => {
    await hold(9);
    const [lines, calls] = [gateway.logLines.length, fake.countCalls('getWorkflow')];
    const reason = 'foldforge_gateway_refused_requests_total{reason="overload"}';
    const refusals = await metric(gateway, reason);
    const response = await read({ Origin: 'https://app.example.org' });
    assert.equal(response.status, 503);
    assert.match(response.headers.get('retry-after') ?? '', /^[123]$/);
    assert.equal(response.headers.get('access-control-allow-origin'), 'https://app.example.org');
    assert.equal(fake.countCalls('getWorkflow'), calls);
    assert.equal(await metric(gateway, reason), refusals + 1);
    const said = gateway.logLines.slice(lines).map((line) => JSON.parse(line) as { level: string; status?: number });
    assert.deepEqual([...new Set(said.map(({ level }) => level))], ['debug']);
  });

  it('does not tell strangers that there is none', async () => {
    await hold(9);
    assert.equal(await codeOf(await read({ Authorization: '' })), 'UNAUTHENTICATED');
  });

  it('is left for others by one that asks for all of it', async () => {
    await read(bearer('bob'));
    await hold(5, 'alice');
    const sixth = await read(bearer('alice'));
    assert.deepEqual([sixth.status, sixth.headers.get('retry-after')], [429, '1']);
    assert.equal(await codeOf(sixth), 'TOO_MANY_REQUESTS');
    assert.equal(await codeOf(await read()), '200');
    assert.equal(await codeOf(await read(bearer('bob'))), 'NOT_FOUND');
  });

  it('is shared equally when it is short', async () => {
    know(fake, 'carol', 'dave');
    await read(bearer('bob'));
    await hold(4, 'alice');
    await hold(1);
    assert.equal(await codeOf(await read(bearer('alice'))), 'NOT_FOUND', 'four of 10 / 2');
    for (const name of ['carol', 'dave']) await read(bearer(name));
    assert.equal(
      await codeOf(await read(bearer('alice'))),
      'TOO_MANY_REQUESTS',
      'four of 10 / 4, and of the least share',
    );
    assert.equal(await codeOf(await read(bearer('bob'))), 'NOT_FOUND');
  });

  it('is there for the few requests of one principal, whoever has taken the rest', async () => {
    await hold(9);
    assert.equal(await codeOf(await read()), 'OVERLOADED', 'the static token is everybody');
    await hold(3, 'alice');
    assert.equal(await codeOf(await read(bearer('alice'))), 'NOT_FOUND', 'three of the least share');
    await hold(1, 'alice');
    assert.equal(await codeOf(await read(bearer('alice'))), 'OVERLOADED');
    assert.equal(await codeOf(await read(bearer('bob'))), 'NOT_FOUND');
  });

  it('is not taken by a body that is slow to come, nor by a long poll, nor by a stream', async () => {
    const body = JSON.stringify(SPEC);
    const request = requestText({
      method: 'POST',
      target: '/v1/workflows',
      headers: { Authorization: 'Bearer dev-token', 'Content-Type': 'application/json' },
      body,
    });
    const sockets = Array.from({ length: 12 }, () => connect(gateway.port, '127.0.0.1'));
    const leave = new AbortController();
    // One that nobody holds on to is closed when it is collected.
    const streams: Response[] = [];
    try {
      for (const socket of sockets) socket.write(request.slice(0, -5));
      const held = 'foldforge_gateway_held_requests';
      for (let count = 1; count <= 12; count++) {
        void gateway.request(`/v1/workflows/${id}?wait=30`, { signal: leave.signal }).catch(() => undefined);
        streams.push(await gateway.request(`/v1/workflows/${id}/events`, { signal: leave.signal }));
        await until('both are held', async () => (await metric(gateway, held)) === 2 * count);
      }
      await until('the bodies have begun', async () => {
        return (await metric(gateway, 'foldforge_gateway_http_requests_in_flight')) >= 12;
      });
      assert.equal(await metric(gateway, WORKING), 0);
      assert.equal(await codeOf(await read()), '200');
      const first = sockets[0]!;
      const answered = new Promise<string>((resolve) => first.once('data', (chunk) => resolve(String(chunk))));
      first.write(request.slice(-5));
      assert.match(await answered, /^HTTP\/1\.1 201 /);
    } finally {
      leave.abort();
      for (const { body } of streams) await body?.cancel().catch(() => undefined);
      for (const socket of sockets) socket.destroy();
    }
  });
});

describe('the rate of one principal', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      PRINCIPAL_REQUESTS_PER_SECOND: '1',
    });
    know(fake, 'alice', 'bob');
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });

  it('is kept, told of, and no business of others', async () => {
    const read = (headers: Record<string, string>) => gateway.request('/v1/workflows', { headers });
    let refused: Response | undefined;
    for (let count = 0; count < 100 && !refused; count++) {
      const response = await read(bearer('alice'));
      if (response.status !== 200) refused = response;
    }
    assert.ok(refused, 'a hundred in a row are more than two at once and one in a second');
    const names = ['retry-after', 'ratelimit', 'ratelimit-policy'];
    const said = names.map((name) => refused.headers.get(name));
    assert.deepEqual([refused.status, ...said], [429, '1', '"requests";r=0;t=1', '"requests";q=1;w=1']);
    assert.equal(await codeOf(refused), 'RATE_LIMITED');
    assert.equal((await read(bearer('bob'))).status, 200);
    for (let count = 0; count < 20; count++) assert.equal((await read({})).status, 200, 'the static token has no rate');
    await until('it may ask again', async () => (await read(bearer('alice'))).status === 200);
  });
});
