import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { securityHeaders } from '../../src/gateway/security-headers.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { pathOf, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { sendRaw } from '../support/raw-request.ts';
import { S3_SERVERS, type S3Server } from '../support/s3-servers.ts';

const ALWAYS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};
const NOTHING = "default-src 'none'; frame-ancestors 'none'";

describe('headers for browsers', () => {
  let fake: FakeOrchestrator;
  let store: S3Server;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await S3_SERVERS[0]!.start();
    const page = { type: 'text/html; charset=utf-8', body: Buffer.from('<p>'), gzip: undefined, digest: 'x' };
    const pages = { docs: new Map([['index.html', page]]), console: new Map([['index.html', page]]) };
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint, CONSOLE_ENABLED: 'true', ...storeSettings(store.url) };
    gateway = await startTestGateway(settings, pages);
  });
  after(async () => {
    await gateway?.close();
    await store?.close();
    await fake?.close();
  });

  /** What every answer must have, and nothing that tells what we are made of. Returns the policy. */
  function check(label: string, headers: Readonly<Record<string, string>>): string {
    for (const [name, value] of Object.entries(ALWAYS)) assert.equal(headers[name], value, `${label}: ${name}`);
    for (const name of ['server', 'x-powered-by', 'via', 'strict-transport-security']) {
      assert.equal(headers[name], undefined, `${label}: ${name}`);
    }
    return headers['content-security-policy'] ?? '';
  }

  it('are on every answer of the API, of whatever kind', async () => {
    const { id } = fake.put({ state: JobState.SUCCEEDED });
    const asNobody = { headers: { Authorization: 'Bearer wrong' } };
    const requests: [target: string, status: number, request?: Parameters<typeof sendRaw>[2]][] = [
      [`/v1/workflows/${id}`, 200],
      [`/v1/workflows/${id}`, 200, { method: 'HEAD' }],
      [`/v1/workflows/${id}/events`, 200],
      ['/v1/workflows', 401, asNobody],
      ['/v1/workflows/none', 404],
      ['/v1/workflows?x=1', 400],
      ['/v1/workflows', 405, { method: 'PUT' }],
      ['/v1/workflows', 204, { method: 'OPTIONS' }],
      ['/v1/workflows', 415, { method: 'POST' }],
      ['/nowhere', 404],
      ['/v1/healthz', 200, asNobody],
      ['/v1/readyz', 200],
      ['/metrics', 200],
      ['/openapi.json', 200],
      ['/openapi.yaml', 200],
      ['/v1/billing/balance', 200],
      ['/docs/nothing.css', 404],
      // These never become a request to the app.
      [`/${'x'.repeat(10_000)}`, 414],
      ['http://[/', 400],
      ['*', 400, { headers: { Host: 'a b' } }],
    ];
    for (const [target, status, request] of requests) {
      const answer = await sendRaw(gateway.port, target, request);
      const label = `${request?.method ?? 'GET'} ${target.slice(0, 50)}`;
      assert.equal(answer.status, status, label);
      assert.equal(check(label, answer.headers), NOTHING, label);
    }
  });

  it('are on files, which have a policy of their own', async () => {
    const bytes = Buffer.from('ATOM');
    await store.put('artifacts/a.pdb', bytes);
    const target = pathOf(
      recordFiles(fake, [{ key: 'artifacts/a.pdb', sizeBytes: 4, sha256: sha256(bytes) }]),
      'artifacts/a.pdb',
    );
    for (const [request, status] of [
      [{}, 200],
      [{ method: 'HEAD' }, 200],
      [{ headers: { Range: 'bytes=0-1' } }, 206],
    ] as const) {
      const answer = await sendRaw(gateway.port, target, request);
      assert.equal(answer.status, status);
      assert.equal(check(target, answer.headers), 'sandbox');
    }
    const unchanged = await sendRaw(gateway.port, target, { headers: { 'If-None-Match': `"${sha256(bytes)}"` } });
    assert.equal(unchanged.status, 304);
    check(target, unchanged.headers);
  });

  it('are on pages, which may do what they need, and are asked for nothing else', async () => {
    for (const target of ['/docs', '/console', '/console/submit']) {
      const { status, headers } = await sendRaw(gateway.port, target);
      assert.equal(status, 200);
      assert.match(check(target, headers), /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'/);
      assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
      assert.match(headers['permissions-policy']!, /^camera=\(\), .*geolocation=\(\)/);
    }
  });

  it('tell browsers to stay with TLS only over TLS', () => {
    assert.equal(securityHeaders({ tls: false })['Strict-Transport-Security'], undefined);
    assert.equal(securityHeaders({ tls: true })['Strict-Transport-Security'], 'max-age=31536000');
    assert.equal(securityHeaders({ tls: true })['X-Frame-Options'], 'DENY');
  });
});
