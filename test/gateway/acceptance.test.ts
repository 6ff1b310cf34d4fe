import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import type { AcceptWorkflowRequest } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { mintToken } from '../../src/shared/checksummed-token.ts';
import { type FakeOrchestrator, refusal, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const SPEC = { name: 'x', steps: [{ id: 'a', tool: 'af2' }], labels: { a: '1', b: '2' } };
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code;

async function startPair(accounts: boolean) {
  const fake = await startFakeOrchestrator({ accounts });
  const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, API_KEYS_ENABLED: 'true' });
  function addKey(key: Partial<Parameters<FakeOrchestrator['keys']['set']>[1]> = {}): string {
    const token = mintToken('ffk');
    fake.keys.set(sha256(token), { principal: 'alice', limit: 0n, used: 0n, ...key });
    return token;
  }
  const submit = (token: string, headers: Record<string, string> = {}, body: unknown = SPEC) =>
    gateway.post('/v1/workflows', body, { ...bearer(token), ...headers });
  return { fake, gateway, addKey, submit };
}

type Pair = Awaited<ReturnType<typeof startPair>>;

describe('accepting a workflow in one call', () => {
  let pair: Pair;
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    pair = await startPair(true);
    ({ fake, gateway } = pair);
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  beforeEach(() => {
    fake.clearFaults();
    fake.calls.length = 0;
  });

  const digests = () =>
    fake.calls
      .filter(({ rpc }) => rpc === 'acceptWorkflow')
      .map(({ request }) => (request as AcceptWorkflowRequest).bodyDigest);

  it('makes one call, which says whose key it is and what the body is', async () => {
    const token = pair.addKey();
    assert.equal((await pair.submit(token, { 'Idempotency-Key': '"one"' })).status, 201);
    const [, accept] = fake.calls;
    assert.deepEqual(
      fake.calls.map(({ rpc }) => rpc),
      ['authenticateApiKey', 'acceptWorkflow'],
    );
    const { idempotencyKey, bodyDigest, keyHash } = accept!.request as AcceptWorkflowRequest;
    assert.deepEqual([idempotencyKey, keyHash], ['one', sha256(token)]);
    const canonical = '{"labels":{"a":"1","b":"2"},"name":"x","steps":[{"id":"a","tool":"af2"}]}';
    assert.equal(bodyDigest, sha256(canonical), 'as it was sent, without defaults');
    assert.equal(accept!.headers.get('ff-principal'), 'alice');
  });

  it('tells the same body from another one, whatever its spelling', async () => {
    const token = pair.addKey();
    const send = (body: string) =>
      gateway.request('/v1/workflows', {
        method: 'POST',
        body,
        headers: { ...bearer(token), 'Content-Type': 'application/json', 'Idempotency-Key': String(Math.random()) },
      });
    const spelled = [
      '{"name":"x","steps":[{"id":"a","tool":"af2","params":{"n":10,"s":"é","deep":{"b":1,"a":[1,2]}}}]}',
      '{"steps" : [ {"params":{"deep":{"a":[1,2.0],"b":1e0},"s":"\\u00e9","n":1e1},"tool":"af2","id":"a"}],"name":"x"}',
    ];
    // With a byte order mark it is the same body, too.
    spelled.push(`\ufeff${spelled[0]}`);
    const others = ['{"a":[2,1],"b":1}', '{"a":[1,2],"b":"1"}', '{"a":[1,2],"b":null}'].map(
      (deep) => `{"name":"x","steps":[{"id":"a","tool":"af2","params":{"n":10,"s":"é","deep":${deep}}}]}`,
    );
    for (const body of [...spelled, ...others]) assert.equal((await send(body)).status, 201, body);
    const [first, second, third, ...different] = digests();
    assert.deepEqual([second, third], [first, first]);
    assert.equal(new Set([first, ...different]).size, 4);
  });

  it('refuses text that is not Unicode, with an idempotency key and without', async () => {
    const texts = [
      ['{"name":"\\ud800","steps":[]}', '/name'],
      ['{"name":"x","steps":[],"\\udc00":1}', ''],
    ] as const;
    for (const [text, pointer] of texts) {
      for (const more of [{}, { 'Idempotency-Key': 'lone' }]) {
        const headers = { ...bearer(pair.addKey()), 'Content-Type': 'application/json', ...more };
        const answer = await gateway.request('/v1/workflows', { method: 'POST', body: text, headers });
        const { errors, message } = (await answer.json()) as { errors: { pointer: string }[]; message: string };
        assert.deepEqual([answer.status, errors.map((fault) => fault.pointer)], [400, [pointer]]);
        assert.match(message, /lone surrogate/);
      }
    }
    const pairOfThem = '{"name":"\\ud83d\\ude00","steps":[{"id":"a","tool":"af2"}]}';
    const headers = { 'Content-Type': 'application/json' };
    const answer = await gateway.request('/v1/workflows', { method: 'POST', body: pairOfThem, headers });
    assert.equal(((await answer.json()) as { name: string }).name, '😀');
  });

  it('says when the answer is the first one again', async () => {
    const token = pair.addKey({ limit: 5n });
    const headers = { 'Idempotency-Key': 'again' };
    const [first, second] = [await pair.submit(token, headers), await pair.submit(token, headers)];
    assert.deepEqual([first.status, second.status], [201, 201]);
    assert.deepEqual(
      [first, second].map((answer) => answer.headers.get('idempotent-replayed')),
      [null, 'true'],
    );
    assert.equal(first.headers.get('location'), second.headers.get('location'));
    assert.equal(await first.text(), await second.text());
    assert.deepEqual(
      [first, second].map((answer) => answer.headers.get('x-ratelimit-remaining')),
      ['4', '4'],
    );
  });

  it('gives each refusal its status and code', async () => {
    const refusals = [
      [Code.AlreadyExists, 'IDEMPOTENCY_KEY_REUSED', 422, 'IDEMPOTENCY_KEY_REUSED'],
      [Code.Aborted, 'IDEMPOTENCY_KEY_IN_FLIGHT', 409, 'IDEMPOTENCY_KEY_IN_FLIGHT'],
      [Code.FailedPrecondition, 'INSUFFICIENT_CREDITS', 402, 'PAYMENT_REQUIRED'],
      [Code.ResourceExhausted, 'QUOTA_EXCEEDED', 429, 'QUOTA_EXCEEDED'],
      [Code.Unauthenticated, 'KEY_REVOKED', 401, 'KEY_REVOKED'],
      [Code.Unauthenticated, 'KEY_EXPIRED', 401, 'KEY_EXPIRED'],
      [Code.Unauthenticated, 'KEY_UNKNOWN', 401, 'UNAUTHENTICATED'],
      [Code.AlreadyExists, 'SOMETHING', 409, 'CONFLICT'],
      [Code.Unauthenticated, 'SOMETHING', 500, 'INTERNAL'],
      [Code.Internal, 'QUOTA_EXCEEDED', 500, 'INTERNAL'],
    ] as const;
    for (const [grpc, reason, status, code] of refusals) {
      fake.onCall('acceptWorkflow', () => {
        throw refusal(grpc, reason, 'why');
      });
      const answer = await pair.submit(pair.addKey());
      assert.deepEqual([answer.status, await codeOf(answer)], [status, code], reason);
      const retryAfter = { 409: reason === 'SOMETHING' ? null : '1', 429: '60' }[status as number] ?? null;
      assert.equal(answer.headers.get('retry-after'), retryAfter, reason);
    }
    assert.equal(fake.countCalls('submitWorkflow') + fake.countCalls('consumeQuota'), 0);
  });

  it('says what is left of the quota, and exactly when it begins anew', async () => {
    // In the middle of a second: what is told of it is a duration, which gets later on its way.
    const resetsAt = new Date(Math.floor(Date.now() / 1000) * 1000 + 1_800_400);
    const token = pair.addKey({ limit: 2n, resetsAt });
    const limits = ({ headers }: Response) =>
      ['ratelimit-policy', 'ratelimit', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'].map((name) =>
        headers.get(name)?.replace(/;t=(1799|180[01])$/, ';t=T'),
      );
    const policy = '"submissions";q=2;w=3600';
    const reset = String(Math.ceil(resetsAt.getTime() / 1000));
    const read = await gateway.request('/v1/workflows', { headers: bearer(token) });
    assert.deepEqual(limits(read), [policy, '"submissions";r=2;t=T', '2', '2', reset]);
    for (const left of ['1', '0']) {
      assert.deepEqual(limits(await pair.submit(token)), [policy, `"submissions";r=${left};t=T`, '2', left, reset]);
    }
    const refused = await pair.submit(token);
    assert.deepEqual(limits(refused), [policy, '"submissions";r=0;t=T', '2', '0', reset]);
    const seconds = Math.ceil((resetsAt.getTime() - Date.now()) / 1000);
    assert.ok(Math.abs(Number(refused.headers.get('retry-after')) - seconds) <= 1);
    assert.deepEqual(refused.headers.get('ratelimit')!.split('t=')[1], refused.headers.get('retry-after'));
    const later = await gateway.request('/v1/workflows/none', { headers: bearer(token) });
    assert.equal(later.status, 404);
    assert.deepEqual(limits(later), [policy, '"submissions";r=0;t=T', '2', '0', reset], 'as last heard, on errors too');
  });

  it('believes the orchestrator rather than its own clock when a window is about to end', async () => {
    const token = pair.addKey({ limit: 5n, used: 5n, resetsAt: new Date(Date.now() - 2_000) });
    fake.onCall('acceptWorkflow', () => {
      const quota = { limit: 5n, used: 5n, windowSeconds: 3600n, resetsIn: { seconds: 9n, nanos: 500_000_001 } };
      throw refusal(Code.ResourceExhausted, 'QUOTA_EXCEEDED', 'no submissions left', quota);
    });
    const refused = await pair.submit(token);
    assert.equal(refused.headers.get('ratelimit'), '"submissions";r=0;t=10', 'rounded up');
    assert.equal(refused.headers.get('retry-after'), '10');
  });

  it('says nothing of a quota where there is none', async () => {
    for (const answer of [await pair.submit(pair.addKey()), await gateway.post('/v1/workflows', SPEC)]) {
      assert.equal(answer.status, 201);
      assert.deepEqual(
        [...answer.headers.keys()].filter((name) => /rate-?limit/.test(name)),
        [],
      );
    }
    const fresh = await gateway.request('/v1/workflows', { headers: bearer(pair.addKey({ limit: 3n })) });
    assert.equal(fresh.headers.get('ratelimit'), '"submissions";r=3', 'no window is open yet');
    assert.equal(fresh.headers.get('x-ratelimit-reset'), null);
  });

  it('lets a read-only key read and watch, and nothing else', async () => {
    const token = pair.addKey({ readOnly: true });
    const { id } = fake.put({}, 'alice');
    const as = (method: string, path: string, body?: unknown) =>
      gateway.request(path, {
        method,
        headers: { ...bearer(token), 'Content-Type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    for (const [method, path, body] of [
      ['POST', '/v1/workflows', SPEC],
      ['POST', '/v1/workflows', 'junk'],
      ['DELETE', `/v1/workflows/${id}`],
      ['POST', `/v1/workflows/${id}/retry`],
      ['POST', '/v1/billing/checkout', { credits: 100, success_url: 'https://a.test/', cancel_url: 'https://a.test/' }],
    ] as const) {
      const answer = await as(method, path, body);
      assert.equal(answer.status, 403, `${method} ${path}`);
      const { code, message } = (await answer.json()) as { code: string; message: string };
      assert.equal(code, 'PERMISSION_DENIED');
      assert.match(message, /read-only/);
    }
    assert.equal((await as('GET', `/v1/workflows/${id}`)).status, 200);
    assert.equal((await as('POST', `/v1/workflows/${id}/rank`, { metric: 'plddt' })).status, 200);
    const { url } = (await (await as('POST', `/v1/workflows/${id}/stream-tickets`)).json()) as { url: string };
    const stream = await gateway.request(url, { headers: { Authorization: '' } });
    assert.equal(stream.status, 200);
    await stream.body!.cancel();
    assert.deepEqual(
      ['acceptWorkflow', 'cancelWorkflow', 'retryWorkflow'].map((rpc) => fake.countCalls(rpc as 'acceptWorkflow')),
      [0, 0, 0],
    );
  });

  it('logs the public name of the key', async () => {
    await gateway.request('/v1/workflows', { headers: bearer(pair.addKey({ keyId: 'k1234' })) });
    assert.ok(gateway.logLines.some((line) => JSON.parse(line).key_id === 'k1234'));
  });
});

describe('an orchestrator that only speaks the base contract', () => {
  let pair: Pair;
  before(async () => {
    pair = await startPair(false);
  });
  after(async () => {
    await pair.gateway.close();
    await pair.fake.close();
  });

  it('counts before it submits, and is not asked for AcceptWorkflow each time', async () => {
    const { fake, gateway, addKey, submit } = pair;
    const token = addKey({ limit: 2n });
    const answers = [await submit(token), await submit(token), await submit(token)];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201, 429],
    );
    assert.deepEqual(
      answers.map(({ headers }) => headers.get('ratelimit')),
      ['"submissions";r=1', '"submissions";r=0', '"submissions";r=0'],
    );
    assert.equal(answers[2]!.headers.get('retry-after'), '60');
    const rpcs = fake.calls.map(({ rpc }) => rpc).filter((rpc) => rpc !== 'authenticateApiKey');
    const once = ['consumeQuota', 'submitWorkflow'];
    assert.deepEqual(rpcs, ['acceptWorkflow', ...once, ...once, 'consumeQuota']);
    assert.equal(gateway.logLines.filter((line) => line.includes('AcceptWorkflow')).length, 1);
  });
});
