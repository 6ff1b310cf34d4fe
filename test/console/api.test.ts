import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ApiFault, createApi } from '../../console/src/api.ts';
import type { Quota } from '../../console/src/quota.ts';

interface Seen {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: unknown;
}

/** An API whose network answers each call with the next of these; an Error is a connection that is lost. */
function apiThat(...answers: (Response | Error)[]) {
  const seen: Seen[] = [];
  const refusals: ApiFault[] = [];
  const quotas: Quota[] = [];
  const api = createApi({
    token: 'ffk_secret',
    onRefused: (fault) => refusals.push(fault),
    onQuota: (quota) => quotas.push(quota),
    async fetch(input, init = {}) {
      const { method = 'GET', body } = init;
      seen.push({ url: String(input), method, headers: new Headers(init.headers), body });
      const answer = answers.shift()!;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { api, seen, refusals, quotas };
}

const faultBody = (status: number, more: object = {}) => ({
  code: 'SOME_CODE',
  message: 'some sentence',
  retryable: false,
  request_id: 'r-1',
  type: 'urn:x',
  title: 'Some',
  status,
  detail: 'some sentence',
  instance: 'urn:r-1',
  ...more,
});

const NETWORK = { name: 'ApiFault', status: 0, code: 'NETWORK', retryable: true };

describe('the API client of the console', () => {
  it('sends the key in the header of every call, and in no URL', async () => {
    const { api, seen } = apiThat(...Array.from({ length: 8 }, () => Response.json({ workflows: [] })));
    await api.listWorkflows();
    await api.getWorkflow('a');
    await api.submitWorkflow('{}', 'k');
    await api.cancelWorkflow('a');
    await api.retryWorkflow('a');
    await api.rankDesigns('a', { metric: 'plddt' });
    await api.openEvents('a');
    await api.openArtifact('a', 'k');
    assert.equal(seen.length, 8);
    for (const { url, headers } of seen) {
      assert.equal(headers.get('authorization'), 'Bearer ffk_secret');
      assert.ok(!url.includes('ffk_secret'));
    }
  });

  it('asks for a page of the list with every filter, and only for what is new', async () => {
    const page = Response.json({ workflows: [] }, { headers: { ETag: '"1"' } });
    const { api, seen } = apiThat(page, new Response(null, { status: 304 }));
    const query = { pageSize: 5, pageToken: 'a+b/c=', state: 'FAILED', labels: ['a=b&c', 'd=e'] };
    assert.deepEqual(await api.listWorkflows(query), { list: { workflows: [] }, etag: '"1"' });
    assert.equal(await api.listWorkflows(query, { etag: '"1"' }), undefined);
    const { searchParams } = new URL(seen[0]!.url, 'http://x');
    assert.deepEqual(
      [...searchParams],
      [
        ['page_size', '5'],
        ['page_token', 'a+b/c='],
        ['state', 'FAILED'],
        ['label', 'a=b&c'],
        ['label', 'd=e'],
      ],
    );
    assert.equal(seen[0]!.headers.has('if-none-match'), false);
    assert.equal(seen[1]!.headers.get('if-none-match'), '"1"');
  });

  it('writes ids and keys of artifacts into the path so that they stay one', async () => {
    const { api, seen } = apiThat(new Response(''), new Response(''));
    await api.openArtifact('a:b', 'artifacts/x y?#%.pdb');
    await api.openEvents('a/b', { lastEventId: '7' });
    assert.equal(seen[0]!.url, '/v1/workflows/a%3Ab/artifacts/artifacts/x%20y%3F%23%25.pdb');
    assert.equal(seen[1]!.url, '/v1/workflows/a%2Fb/events?heartbeat=event');
    assert.equal(seen[1]!.headers.get('last-event-id'), '7');
  });

  it('submits the text as it was written, under its key', async () => {
    const { api, seen } = apiThat(Response.json({ id: 'w' }, { status: 201 }));
    const text = '{ "name": "x", "big": 12345678901234567890 }';
    assert.equal((await api.submitWorkflow(text, 'key-1')).id, 'w');
    const { method, body, headers } = seen[0]!;
    assert.deepEqual({ method, body }, { method: 'POST', body: text });
    assert.equal(headers.get('idempotency-key'), 'key-1');
    assert.equal(headers.get('content-type'), 'application/json');
  });

  it('throws what the gateway says of a refusal', async () => {
    const errors = [{ pointer: '/name', message: 'is too long' }];
    const { api, refusals } = apiThat(
      Response.json(faultBody(429, { retryable: true, errors }), { status: 429, headers: { 'Retry-After': '17' } }),
    );
    await assert.rejects(api.getWorkflow('a'), {
      name: 'ApiFault',
      status: 429,
      code: 'SOME_CODE',
      message: 'some sentence',
      retryable: true,
      requestId: 'r-1',
      retryAfterSeconds: 17,
      errors,
    });
    assert.deepEqual(refusals, []);
  });

  it('tells of a credential that is no longer taken', async () => {
    const { api, refusals } = apiThat(Response.json(faultBody(401, { code: 'KEY_REVOKED' }), { status: 401 }));
    await assert.rejects(api.openEvents('a'), { code: 'KEY_REVOKED' });
    assert.deepEqual(
      refusals.map(({ code }) => code),
      ['KEY_REVOKED'],
    );
  });

  it('makes a fault of what a proxy answers', async () => {
    const page = new Response('<h1>Bad gateway</h1>', { status: 502, statusText: 'Bad Gateway' });
    const { api } = apiThat(page, Response.json(null, { status: 404 }));
    await assert.rejects(api.getWorkflow('a'), {
      status: 502,
      code: 'HTTP_502',
      message: 'The server answered 502 Bad Gateway.',
      retryable: true,
    });
    await assert.rejects(api.getWorkflow('a'), { code: 'HTTP_404', retryable: false });
  });

  it('says that no answer came, also where it broke off', async () => {
    const cut = new Response(
      new ReadableStream({
        pull: (controller) => controller.error(new TypeError('cut')),
      }),
    );
    const { api } = apiThat(new TypeError('Failed to fetch'), cut, new Response('{"workflows":[', { status: 200 }));
    await assert.rejects(api.getWorkflow('a'), NETWORK);
    await assert.rejects(api.getWorkflow('a'), NETWORK);
    await assert.rejects(api.listWorkflows(), NETWORK);
  });

  it('does not wait for ever for an answer that never comes, nor for the rest of one', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const never = ({ signal }: RequestInit) =>
      new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal!.reason)));
    const half = ({ signal }: RequestInit) =>
      new Response(
        new ReadableStream({ start: (body) => signal?.addEventListener('abort', () => body.error(signal!.reason)) }),
      );
    for (const answer of [never, half]) {
      const api = createApi({ token: 'k', fetch: async (_url, init) => answer(init!) });
      const calls = [api.listWorkflows(), api.getWorkflow('w'), api.submitWorkflow('{}', 'key')];
      const refused = Promise.all(calls.map((call) => assert.rejects(call, NETWORK)));
      await new Promise(setImmediate);
      t.mock.timers.tick(60_000);
      await refused;
    }
  });

  it('throws the reason of an abort, which is nobody’s fault', async () => {
    const { api } = apiThat(new TypeError('aborted'));
    const reason = new Error('left the page');
    await assert.rejects(api.getWorkflow('a', { signal: AbortSignal.abort(reason) }), reason);
  });

  it('passes on what is left of the quota, of refusals too', async () => {
    const headers = { 'X-RateLimit-Limit': '10', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': '1700000000' };
    const { api, quotas } = apiThat(
      Response.json({ workflows: [] }),
      Response.json({ workflows: [] }, { headers: { 'X-RateLimit-Limit': '10', 'X-RateLimit-Remaining': '4' } }),
      Response.json(faultBody(429), { status: 429, headers }),
    );
    await api.listWorkflows();
    await api.listWorkflows();
    await assert.rejects(api.submitWorkflow('{}', 'k'));
    assert.deepEqual(quotas, [
      { limit: 10, remaining: 4 },
      { limit: 10, remaining: 0, resetsAt: 1_700_000_000_000 },
    ]);
  });
});
