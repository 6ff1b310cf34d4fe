import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { listOperations } from '../../src/gateway/contract.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { CONTRACT, startTestGateway, type TestGateway } from '../support/gateway.ts';

const APP = 'https://app.example.org';
const OTHERS = [
  'https://app.example.org:8443',
  'http://app.example.org',
  'https://app.example.org.evil.test',
  'null',
  '',
];

describe('a gateway that lets the pages of some origins use it', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    const CORS_ALLOWED_ORIGINS = ` ${APP} , http://localhost:5173`;
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, CORS_ALLOWED_ORIGINS });
  });
  after(async () => {
    await gateway?.close();
    await fake?.close();
  });

  const corsOf = (headers: Headers) => [...headers.keys()].filter((name) => name.startsWith('access-control-'));

  it('tells an allowed origin that its page may read answers, errors too, and which headers', async () => {
    const { id } = fake.put({ spec: { name: 'x' } });
    const targets: [path: string, init: RequestInit, status: number][] = [
      ['/v1/workflows', {}, 200],
      [`/v1/workflows/${id}`, {}, 200],
      ['/v1/workflows?page_size=0', {}, 400],
      ['/v1/workflows', { headers: { Authorization: '' } }, 401],
      ['/v1/workflows/nobody-has-it', {}, 404],
      ['/nothing', {}, 404],
      ['/v1/workflows', { method: 'PUT' }, 405],
      ['/v1/workflows', { method: 'POST', body: 'x', headers: { 'Content-Type': 'text/plain' } }, 415],
      ['/v1/healthz', {}, 200],
      ['/metrics', { method: 'HEAD' }, 200],
    ];
    for (const [path, init, status] of targets) {
      const response = await gateway.request(path, { ...init, headers: { ...init.headers, Origin: APP } });
      assert.equal(response.status, status, path);
      assert.equal(response.headers.get('access-control-allow-origin'), APP, path);
      assert.equal(response.headers.get('access-control-allow-credentials'), null);
      assert.equal(response.headers.get('vary'), 'Origin');
      const exposed = response.headers.get('access-control-expose-headers')!.toLowerCase().split(', ');
      assert.deepEqual(
        [...response.headers.keys()].filter(
          (name) =>
            /^(?:x-|ratelimit|etag|location|link|retry|idem)/.test(name) &&
            !['x-content-type-options', 'x-frame-options'].includes(name) &&
            !exposed.includes(name),
        ),
        [],
      );
    }
  });

  it('exposes every header that the contract has, but for those that say nothing to a page', async () => {
    const response = await gateway.request('/v1/healthz', { headers: { Origin: APP } });
    const exposed = new Set(response.headers.get('access-control-expose-headers')!.toLowerCase().split(', '));
    const always = ['cache-control', 'content-language', 'content-length', 'content-type', 'expires', 'last-modified'];
    const forBrowsers = [
      'vary',
      'x-accel-buffering',
      'x-content-type-options',
      'content-security-policy',
      'connection',
    ];
    const missing = listOperations(CONTRACT.document()).flatMap(({ operation }) =>
      Object.values(operation.responses ?? {}).flatMap((answer: { headers?: object; $ref?: string }) => {
        const name = answer.$ref?.split('/').at(-1);
        const shared = CONTRACT.document().components.responses as Record<string, { headers?: object }> | undefined;
        return Object.keys((name ? shared?.[name]?.headers : answer.headers) ?? {});
      }),
    );
    assert.ok(missing.length > 50);
    const unknown = new Set(missing.map((name) => name.toLowerCase()).filter((name) => !exposed.has(name)));
    assert.deepEqual([...unknown].filter((name) => ![...always, ...forBrowsers].includes(name)).toSorted(), []);
  });

  it('says nothing to another origin, but that the answer depends on it', async () => {
    for (const origin of OTHERS) {
      for (const method of ['GET', 'OPTIONS']) {
        const headers = { Origin: origin, 'Access-Control-Request-Method': 'GET' };
        const response = await gateway.request('/v1/workflows', { method, headers });
        assert.deepEqual(corsOf(response.headers), [], origin);
        assert.equal(response.headers.get('vary'), 'Origin');
      }
    }
  });

  it('answers a preflight with the methods of the path and with every header that a client may send', async () => {
    const preflight = (path: string, headers: Record<string, string> = { 'Access-Control-Request-Method': 'DELETE' }) =>
      gateway.request(path, { method: 'OPTIONS', headers: { Authorization: '', Origin: APP, ...headers } });
    const { status, headers } = await preflight('/v1/workflows/some-id');
    assert.equal(status, 204);
    assert.equal(headers.get('access-control-allow-methods'), 'GET, DELETE, HEAD, OPTIONS');
    assert.equal(headers.get('allow'), 'GET, DELETE, HEAD, OPTIONS');
    assert.equal(headers.get('access-control-max-age'), '7200');
    const allowed = headers.get('access-control-allow-headers')!.toLowerCase().split(', ');
    const declared = listOperations(CONTRACT.document()).flatMap(({ parameters }) =>
      parameters.filter(({ in: place }) => place === 'header').map(({ name }) => name.toLowerCase()),
    );
    for (const name of [...declared, 'authorization', 'content-type', 'x-request-id', 'traceparent', 'tracestate']) {
      if (name !== 'stripe-signature') assert.ok(allowed.includes(name), name);
    }
    assert.deepEqual(corsOf((await preflight('/v1/workflows', {})).headers), [
      'access-control-allow-origin',
      'access-control-expose-headers',
    ]);
  });

  it('streams events to it', async () => {
    const { id } = fake.put({ spec: { name: 'x' } });
    const response = await fetch(`${gateway.url}/v1/workflows/${id}/events`, {
      headers: { Authorization: 'Bearer dev-token', Origin: 'http://localhost:5173' },
    });
    assert.equal(response.headers.get('access-control-allow-origin'), 'http://localhost:5173');
    await response.body!.cancel();
  });
});

describe('a gateway that was told of no origin', () => {
  it('says nothing of origins at all', async () => {
    const fake = await startFakeOrchestrator();
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    try {
      for (const method of ['GET', 'OPTIONS']) {
        const headers = { Origin: APP, 'Access-Control-Request-Method': 'GET' };
        const response = await gateway.request('/v1/workflows', { method, headers });
        assert.deepEqual(
          [...response.headers.keys()].filter((name) => /^(?:access-control-|vary)/.test(name)),
          [],
        );
      }
    } finally {
      await gateway.close();
      await fake.close();
    }
  });
});
