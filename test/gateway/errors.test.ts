import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, createIndulgence, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until, within } from '../support/waiting.ts';

const SECRET = 'password=hunter2 at db-7.internal';
const SPEC = { name: 'x', steps: [{ id: 'a', tool: 'af2' }] };

interface ErrorJson {
  code: string;
  message: string;
  retryable: boolean;
}

describe('errors', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    const settings = {
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '0.4',
      BODY_LIMIT_BYTES: '2048',
    };
    gateway = await startTestGateway(settings, undefined, undefined, { standings: createIndulgence() });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  beforeEach(() => {
    fake.clearFaults();
    fake.calls.length = 0;
  });

  const TABLE: [code: Code, status: number, error: string, retryable: boolean][] = [
    [Code.InvalidArgument, 400, 'INVALID_ARGUMENT', false],
    [Code.OutOfRange, 400, 'INVALID_ARGUMENT', false],
    [Code.FailedPrecondition, 400, 'FAILED_PRECONDITION', false],
    [Code.PermissionDenied, 403, 'PERMISSION_DENIED', false],
    [Code.NotFound, 404, 'NOT_FOUND', false],
    [Code.AlreadyExists, 409, 'CONFLICT', false],
    [Code.Aborted, 409, 'CONFLICT', false],
    [Code.ResourceExhausted, 503, 'OVERLOADED', true],
    [Code.Unimplemented, 501, 'UNIMPLEMENTED', false],
    [Code.Unavailable, 503, 'UNAVAILABLE', true],
    [Code.DeadlineExceeded, 504, 'DEADLINE_EXCEEDED', true],
    [Code.Internal, 500, 'INTERNAL', false],
    [Code.Unknown, 500, 'INTERNAL', false],
    [Code.DataLoss, 500, 'INTERNAL', false],
    [Code.Canceled, 500, 'INTERNAL', false],
    [Code.Unauthenticated, 500, 'INTERNAL', false],
  ];
  for (const [code, status, error, retryable] of TABLE) {
    it(`turns gRPC ${Code[code]} into ${status} ${error}`, async () => {
      fake.onCall('getWorkflow', () => {
        throw new ConnectError(SECRET, code);
      });
      const response = await gateway.request('/v1/workflows/some');
      const body = (await response.json()) as ErrorJson;
      assert.deepEqual([response.status, body.code, body.retryable], [status, error, retryable]);
      if (status < 500 && status !== 404) assert.equal(body.message, SECRET, 'word for word');
      else assert.doesNotMatch(JSON.stringify(body), /hunter2|db-7\.internal/, 'nothing from inside');
      if (status >= 500) {
        const requestId = response.headers.get('x-request-id')!;
        const line = gateway.logLines.find((text) => text.includes(requestId) && text.includes('"level":"error"'));
        assert.match(line ?? '', /hunter2/, 'the cause is in the log, under the request id');
      }
    });
  }

  it('documents what each gRPC code makes of each operation', async () => {
    const calls = [
      ['submitWorkflow', () => gateway.post('/v1/workflows', SPEC)],
      ['listWorkflows', () => gateway.request('/v1/workflows')],
      ['getWorkflow', () => gateway.request('/v1/workflows/x')],
      ['getWorkflow', () => gateway.request('/v1/workflows/x/events')],
      ['getWorkflow', () => gateway.request('/v1/workflows/x/artifacts/y')],
      ['cancelWorkflow', () => gateway.request('/v1/workflows/x', { method: 'DELETE' })],
      ['retryWorkflow', () => gateway.request('/v1/workflows/x/retry', { method: 'POST' })],
      ['rankDesigns', () => gateway.post('/v1/workflows/x/rank', { metric: 'plddt' })],
      ['getBalance', () => gateway.request('/v1/billing/balance')],
      ['listLedger', () => gateway.request('/v1/billing/ledger')],
    ] as const;
    for (const [code, status] of TABLE) {
      for (const [rpc, request] of calls) {
        fake.onCall(rpc, () => {
          throw new ConnectError('x', code);
        });
        // Each answer is held against openapi.yaml on the way.
        assert.equal((await request()).status, status, `${rpc} ${Code[code]}`);
      }
    }
  });

  it('says 402 for too few credits', async () => {
    fake.onCall('submitWorkflow', () => {
      throw new ConnectError('costs 40, the balance is 12', Code.FailedPrecondition, undefined, [
        { desc: ErrorInfoSchema, value: { reason: 'INSUFFICIENT_CREDITS', domain: 'foldforge' } },
      ]);
    });
    const response = await gateway.post('/v1/workflows', SPEC);
    assert.equal(response.status, 402);
    assert.deepEqual(((await response.json()) as ErrorJson).code, 'PAYMENT_REQUIRED');
  });

  it('tells a request that is too large for gRPC from an answer that is', async () => {
    fake.onCall('submitWorkflow', () => {
      throw new ConnectError('grpc: received message larger than max (5000000 vs. 4194304)', Code.ResourceExhausted);
    });
    assert.equal((await gateway.post('/v1/workflows', SPEC)).status, 413);
    fake.onCall('getWorkflow', () => {
      throw new ConnectError('trying to send message larger than max (5000000 vs. 4194304)', Code.ResourceExhausted);
    });
    assert.equal((await gateway.request('/v1/workflows/x')).status, 502);
    fake.clearFaults();
    const patient = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    const { id } = fake.put({ spec: { name: 'x'.repeat(33 * 1024 * 1024) } });
    const response = await patient.request(`/v1/workflows/${id}`);
    const { code, retryable } = (await response.json()) as ErrorJson;
    assert.deepEqual([response.status, code, retryable], [502, 'UPSTREAM_RESPONSE_TOO_LARGE', false]);
    await patient.close();
  });

  it('makes 503 of a connection that breaks in the middle of a call', async () => {
    fake.onCall('getWorkflow', () => {
      fake.dropConnections();
      return new Promise(() => undefined);
    });
    const response = await gateway.request('/v1/workflows/some');
    assert.deepEqual([response.status, ((await response.json()) as ErrorJson).code], [503, 'UNAVAILABLE']);
  });

  it('gives a request one deadline, and tells only readers to repeat it', async () => {
    const never = () => new Promise(() => undefined);
    fake.onCall('getWorkflow', never);
    fake.onCall('submitWorkflow', never);
    const read = await gateway.request('/v1/workflows/some');
    assert.deepEqual([read.status, ((await read.json()) as ErrorJson).retryable], [504, true]);
    const write = await gateway.post('/v1/workflows', SPEC);
    assert.deepEqual([write.status, ((await write.json()) as ErrorJson).retryable], [504, false]);
  });

  it('counts a client that went away as 499, and stops the upstream call', async () => {
    let aborted = false;
    fake.onCall('listWorkflows', () => new Promise(() => undefined));
    const abort = new AbortController();
    const request = fetch(`${gateway.url}/v1/workflows`, { headers: ADMIN, signal: abort.signal });
    await until('the call arrives', () => fake.countCalls('listWorkflows') > 0);
    abort.abort();
    await request.catch(() => {
      aborted = true;
    });
    assert.ok(aborted);
    await until('499 is counted', async () =>
      /http_requests_total\{method="GET",path="\/v1\/workflows",status="499"\} 1/.test(
        await (await gateway.request('/metrics')).text(),
      ),
    );
  });

  it('counts the body while it is read, with and without Content-Length', async () => {
    const large = JSON.stringify({ ...SPEC, name: 'x'.repeat(3000) });
    const headers = { 'Content-Type': 'application/json' };
    assert.equal((await gateway.request('/v1/workflows', { method: 'POST', body: large, headers })).status, 413);
    const stream = new Blob([large]).stream();
    const chunked = await gateway.request('/v1/workflows', {
      method: 'POST',
      body: stream,
      headers,
      duplex: 'half',
    } as RequestInit);
    assert.equal(chunked.status, 413);
    const { code } = (await chunked.json()) as ErrorJson;
    assert.equal(code, 'PAYLOAD_TOO_LARGE');
  });

  it('does not count the time of a slow upload against the upstream calls', async () => {
    const socket = connect(gateway.port, '127.0.0.1');
    const body = JSON.stringify(SPEC);
    const head = `POST /v1/workflows HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\nConnection: close\r\n`;
    socket.write(`${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`);
    const startedAt = performance.now();
    await until('longer than the deadline', () => performance.now() - startedAt > 600);
    socket.write(body.slice(5));
    const answer = Buffer.concat(await within('the answer', socket.toArray())).toString();
    assert.match(answer, /^HTTP\/1\.1 201 /);
  });

  it('answers problem+json to those who ask for it, with the same members', async () => {
    const response = await gateway.request('/v1/workflows/none', { headers: { Accept: 'application/problem+json' } });
    assert.equal(response.headers.get('content-type'), 'application/problem+json');
    const body = (await response.json()) as Record<string, unknown>;
    assert.deepEqual(
      [body.type, body.title, body.status, body.detail],
      ['urn:foldforge:error:NOT_FOUND', 'Not found', 404, 'not found'],
    );
  });

  it('says 404 and 405 with an exact Allow, answers OPTIONS, and HEAD wherever GET', async () => {
    assert.equal((await gateway.request('/v1/nothing')).status, 404);
    assert.equal((await gateway.request('/v1/workflows/')).status, 404);
    const wrong = await gateway.request('/v1/workflows/x', { method: 'PUT' });
    assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET, DELETE, HEAD, OPTIONS']);
    const retry = await gateway.request('/v1/workflows/x/retry');
    assert.deepEqual([retry.status, retry.headers.get('allow')], [405, 'POST, OPTIONS']);
    const options = await gateway.request('/v1/workflows', { method: 'OPTIONS', headers: { Authorization: '' } });
    assert.deepEqual([options.status, options.headers.get('allow')], [204, 'POST, GET, HEAD, OPTIONS']);
    const { id } = fake.put({ spec: { name: 'x' } });
    for (const path of [
      `/v1/workflows/${id}`,
      '/v1/healthz',
      '/metrics',
      '/openapi.yaml',
      `/v1/workflows/${id}/events`,
    ]) {
      const [get, head] = [
        await fetch(gateway.url + path, { headers: ADMIN, signal: AbortSignal.timeout(2_000) }),
        await gateway.request(path, { method: 'HEAD' }),
      ];
      await get.body?.cancel();
      assert.equal(head.status, get.status, path);
      assert.equal(await head.text(), '');
      for (const name of ['content-type', 'cache-control', ...(/metrics|events/.test(path) ? [] : ['content-length'])])
        assert.equal(head.headers.get(name), get.headers.get(name));
    }
  });

  it('answers a request whose Host is no host', async () => {
    const socket = connect(gateway.port, '127.0.0.1');
    socket.write('GET /v1/healthz HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    await within('the answer', once(socket, 'close'));
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.match(text, /"code":"INVALID_ARGUMENT"/);
  });
});

describe('an orchestrator that is down', () => {
  it('makes 503 of every call, never 401, and recovers when it is back', async () => {
    const first = await startFakeOrchestrator();
    const { port, endpoint } = first;
    const gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: endpoint,
      API_KEYS_ENABLED: 'true',
      READINESS_PERIOD_SECONDS: '0.05',
    });
    await first.close();
    try {
      const admin = await gateway.request('/v1/workflows');
      const { code, retryable } = (await admin.json()) as ErrorJson;
      assert.deepEqual([admin.status, code, retryable], [503, 'UNAVAILABLE', true]);
      const key = await gateway.request('/v1/workflows', { headers: { Authorization: 'Bearer some-key' } });
      assert.equal(key.status, 503);
      assert.equal((await gateway.request('/v1/readyz')).status, 503);
      assert.equal((await gateway.request('/v1/healthz')).status, 200);
      const second = await startFakeOrchestrator({ port });
      await until('it is ready again', async () => (await gateway.request('/v1/readyz')).status === 200);
      assert.equal((await gateway.request('/v1/workflows')).status, 200);
      await second.close();
    } finally {
      await gateway.close();
    }
  });
});
