import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Page } from 'playwright-core';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startChromium } from '../support/chromium.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const chromium = await startChromium();
const PAGE_MS = 10_000;

describe('a page of another origin', { skip: 'missing' in chromium && chromium.missing }, () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  const servers: Server[] = [];
  let allowed: Page;
  let other: Page;

  before(async () => {
    assert.ok('browser' in chromium);
    const [home, foreign] = [await serveEmptyPage(), await serveEmptyPage()];
    fake = await startFakeOrchestrator({ accounts: true });
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, CORS_ALLOWED_ORIGINS: home });
    allowed = await openPage(home);
    other = await openPage(foreign);
  });
  after(async () => {
    if ('browser' in chromium) await chromium.browser.close();
    await gateway?.close();
    await fake?.close();
    for (const server of servers) server.close();
  });

  async function serveEmptyPage(): Promise<string> {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><link rel="icon" href="data:,">');
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function openPage(url: string): Promise<Page> {
    assert.ok('browser' in chromium);
    const page = await chromium.browser.newPage();
    page.setDefaultTimeout(PAGE_MS);
    await page.goto(url);
    return page;
  }

  /** What the page's own code gets to see of an answer. */
  function fetchIn(page: Page, target: string, init: RequestInit = {}) {
    return page.evaluate(
      async ({ url, given }) => {
        try {
          const response = await fetch(url, {
            ...given,
            headers: { Authorization: 'Bearer dev-token', ...given.headers },
          });
          return {
            status: response.status,
            headers: Object.fromEntries(response.headers),
            text: await response.text(),
          };
        } catch (error) {
          return { status: 0, headers: {} as Record<string, string>, text: String(error) };
        }
      },
      { url: gateway.url + target, given: init as { headers?: Record<string, string> } },
    );
  }

  const submission = {
    method: 'POST',
    body: JSON.stringify({ name: 'from a page', steps: [{ id: 'a', tool: 'rfdiffusion' }] }),
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': 'one', 'X-Request-Id': 'from-a-page' },
  };

  it('submits, reads what came of it, and asks again with its entity tag', async () => {
    const submitted = await fetchIn(allowed, '/v1/workflows', submission);
    assert.equal(submitted.status, 201, submitted.text);
    assert.equal(submitted.headers['x-request-id'], 'from-a-page');
    assert.match(submitted.headers.location!, /^\/v1\/workflows\//);
    const repeated = await fetchIn(allowed, '/v1/workflows', submission);
    assert.equal(repeated.headers['idempotent-replayed'], 'true');
    const read = await fetchIn(allowed, submitted.headers.location!);
    assert.equal(read.status, 200);
    const again = await fetchIn(allowed, submitted.headers.location!, {
      cache: 'no-store',
      headers: { 'If-None-Match': read.headers.etag! },
    });
    assert.equal(again.status, 304);
    const cancelled = await fetchIn(allowed, submitted.headers.location!, { method: 'DELETE' });
    assert.equal(cancelled.status, 200);
  });

  it('reads errors, with the headers that tell what to do', async () => {
    const missing = await fetchIn(allowed, '/v1/workflows/nobody-has-it');
    assert.equal(missing.status, 404);
    assert.equal(JSON.parse(missing.text).request_id, missing.headers['x-request-id']);
    const stranger = await fetchIn(allowed, '/v1/workflows', { headers: { Authorization: 'Bearer wrong' } });
    assert.equal(stranger.status, 401);
    assert.equal(stranger.headers['www-authenticate']?.startsWith('Bearer'), true);
    fake.onCall('listWorkflows', () => {
      throw new ConnectError('away', Code.Unavailable);
    });
    const down = await fetchIn(allowed, '/v1/workflows');
    assert.equal(down.status, 503);
    assert.match(down.headers['retry-after']!, /^\d+$/);
    fake.clearFaults();
  });

  it('watches by fetch and by EventSource', async () => {
    const { id } = fake.put({ spec: { name: 'x', steps: [] }, state: JobState.RUNNING });
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    const events = await fetchIn(allowed, `/v1/workflows/${id}/events`, { headers: { 'Last-Event-ID': '0' } });
    assert.equal(events.headers['last-event-id'], '0');
    assert.match(events.text, /event: end/);
    const ticket = await fetchIn(allowed, `/v1/workflows/${id}/stream-tickets`, { method: 'POST' });
    assert.equal(ticket.status, 201, ticket.text);
    const state = await allowed.evaluate(
      (url) =>
        new Promise((resolve) => {
          const source = new EventSource(url);
          source.addEventListener('end', (event) =>
            resolve(JSON.parse((event as Event & { data: string }).data).state),
          );
        }),
      gateway.url + JSON.parse(ticket.text).url,
    );
    assert.equal(state, 'SUCCEEDED');
  });

  it('gets nothing when its origin is not allowed, and changes nothing', async () => {
    const before = fake.calls.length;
    assert.deepEqual(await fetchIn(other, '/v1/workflows', submission), {
      status: 0,
      headers: {},
      text: 'TypeError: Failed to fetch',
    });
    assert.equal((await fetchIn(other, '/v1/workflows')).status, 0);
    assert.equal(fake.calls.length, before, 'the browser did not even send it');
  });
});
