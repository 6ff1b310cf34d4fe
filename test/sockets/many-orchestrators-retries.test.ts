import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { mintToken } from '../../src/shared/checksummed-token.ts';
import { type FakeOrchestrator, refusal } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import {
  type ManyOrchestrators,
  readSamples,
  startManyOrchestrators,
  untilEndpoints,
} from '../support/many-orchestrators.ts';

type Rpc = Parameters<FakeOrchestrator['countCalls']>[0];

const TIMEOUT_MS = 3_000;
const PATH = '/v1/workflows/wf-1';
const SPEC = { name: 'binder', steps: [{ id: 'fold', tool: 'af2' }] };

const unavailable = () => {
  throw new ConnectError('not here', Code.Unavailable);
};

describe('a call that one of two orchestrators refuses as UNAVAILABLE', () => {
  let orchestrators: ManyOrchestrators;
  let gateway: TestGateway;
  before(async () => {
    orchestrators = await startManyOrchestrators(2, { accounts: true });
    orchestrators.put('wf-1', JobState.FAILED);
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: orchestrators.endpoint,
      API_KEYS_ENABLED: 'true',
      ORCHESTRATOR_RPC_TIMEOUT_SECONDS: String(TIMEOUT_MS / 1000),
    });
  });
  after(async () => {
    await gateway.close();
    await orchestrators.close();
  });
  beforeEach(async () => {
    for (const index of [0, 1]) orchestrators.at(index).clearFaults();
    await untilEndpoints(gateway, { up: 2, ejected: 0 });
  });

  const total = (rpc: Rpc) => orchestrators.counts(rpc).reduce((sum, count) => sum + count, 0);

  /** Has the call fail at whichever orchestrator is asked first, and then `second` happen at the other one. */
  function failFirst(rpc: Rpc, first: () => unknown = unavailable, second: () => unknown = () => {}): void {
    let asked = 0;
    for (const index of [0, 1]) orchestrators.at(index).onCall(rpc, () => (asked++ === 0 ? first() : second()));
  }

  /** How often each orchestrator is asked while `act` is done. */
  async function countedCalls(rpc: Rpc, act: () => Promise<Response>): Promise<{ calls: number[]; status: number }> {
    const before = orchestrators.counts(rpc);
    const { status } = await act();
    return { status, calls: orchestrators.counts(rpc).map((count, index) => count - before[index]!) };
  }

  const READS: readonly (readonly [rpc: Rpc, path: string, body?: unknown])[] = [
    ['getWorkflow', PATH],
    ['listWorkflows', '/v1/workflows'],
    ['rankDesigns', `${PATH}/rank`, { metric: 'plddt' }],
  ];
  for (const [rpc, path, body] of READS) {
    it(`is made once more, at the other one: ${rpc}`, async () => {
      failFirst(rpc);
      const act = () => (body ? gateway.post(path, body) : gateway.request(path));
      assert.deepEqual(await countedCalls(rpc, act), { status: 200, calls: [1, 1] });
    });
  }

  it('is made once more, at the other one: authenticateApiKey', async () => {
    const token = mintToken('ffk');
    const key = { principal: 'alice', limit: 0n, used: 0n };
    for (const index of [0, 1]) orchestrators.at(index).keys.set(createHash('sha256').update(token).digest('hex'), key);
    failFirst('authenticateApiKey');
    const act = () => gateway.request('/v1/workflows', { headers: { Authorization: `Bearer ${token}` } });
    assert.deepEqual(await countedCalls('authenticateApiKey', act), { status: 200, calls: [1, 1] });
  });

  it('is made no third time', async () => {
    for (const index of [0, 1]) orchestrators.at(index).onCall('getWorkflow', unavailable);
    assert.deepEqual(await countedCalls('getWorkflow', () => gateway.request(PATH)), { status: 503, calls: [1, 1] });
  });

  it('is counted by its method', async () => {
    const name = 'foldforge_gateway_upstream_retries_total';
    const counted = async () => (await readSamples(gateway, name, 'method')).GetWorkflow ?? 0;
    const before = await counted();
    failFirst('getWorkflow');
    await gateway.request(PATH);
    await gateway.request(PATH);
    assert.equal(await counted(), before + 1);
  });

  it('is a submission without Idempotency-Key: never made twice', async () => {
    for (let tries = 0; tries < 3; tries++) {
      failFirst('acceptWorkflow');
      const before = total('acceptWorkflow');
      assert.equal((await gateway.post('/v1/workflows', SPEC)).status, 503);
      assert.equal(total('acceptWorkflow') - before, 1);
    }
  });

  it('is a submission with Idempotency-Key: made once more with the same key', async () => {
    failFirst('acceptWorkflow');
    const submit = () => gateway.post('/v1/workflows', SPEC, { 'Idempotency-Key': 'k-1' });
    assert.deepEqual(await countedCalls('acceptWorkflow', submit), { status: 201, calls: [1, 1] });
    const keys = [0, 1].map((index) => {
      const call = orchestrators.at(index).calls.findLast(({ rpc }) => rpc === 'acceptWorkflow')!;
      return (call.request as { idempotencyKey: string }).idempotencyKey;
    });
    assert.deepEqual(keys, ['k-1', 'k-1']);
  });

  it('is UNAVAILABLE to a client whose own first attempt is still under way', async () => {
    failFirst('acceptWorkflow', unavailable, () => {
      throw refusal(Code.Aborted, 'IDEMPOTENCY_KEY_IN_FLIGHT', 'it is being submitted');
    });
    const response = await gateway.post('/v1/workflows', SPEC, { 'Idempotency-Key': 'k-2' });
    assert.equal(response.status, 503);
    assert.ok(response.headers.has('retry-after'));
  });

  const CHANGES: readonly (readonly [rpc: Rpc, method: string, path: string])[] = [
    ['cancelWorkflow', 'DELETE', PATH],
    ['retryWorkflow', 'POST', `${PATH}/retry`],
  ];
  for (const [rpc, method, path] of CHANGES) {
    it(`may have changed something: ${rpc} is not made twice`, async () => {
      failFirst(rpc);
      const before = total(rpc);
      assert.equal((await gateway.request(path, { method })).status, 503);
      assert.equal(total(rpc) - before, 1);
    });
  }

  it('has only the time that is left', async () => {
    const spentMs = TIMEOUT_MS / 2;
    failFirst(
      'getWorkflow',
      () =>
        new Promise((_resolve, reject) =>
          setTimeout(() => reject(new ConnectError('late', Code.Unavailable)), spentMs),
        ),
      () => new Promise(() => {}),
    );
    const startedAt = performance.now();
    assert.equal((await gateway.request(PATH)).status, 504);
    assert.ok(performance.now() - startedAt < TIMEOUT_MS + spentMs, 'the request has one deadline');
    const last = [0, 1].map((index) => orchestrators.at(index).calls.findLast(({ rpc }) => rpc === 'getWorkflow')!);
    const least = Math.min(...last.map(({ timeoutMs }) => timeoutMs!));
    assert.ok(least > 0 && least <= spentMs + 5, `grpc-timeout: ${least} ms`);
  });

  it('is not made again for a client that has gone away', async () => {
    const refused = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    failFirst('getWorkflow', () => {
      asked.resolve();
      return refused.promise.then(unavailable);
    });
    const before = total('getWorkflow');
    const client = new AbortController();
    const gone = gateway.request(PATH, { signal: client.signal }).catch(() => undefined);
    await asked.promise;
    client.abort();
    await gone;
    refused.resolve();
    // Had it been made again, that was before this one.
    await gateway.request('/v1/workflows');
    assert.equal(total('getWorkflow') - before, 1);
  });
});

describe('a submission whose orchestrator is killed before it answers', () => {
  for (const [what, headers, statuses] of [
    ['without Idempotency-Key is not made again', {}, [503]],
    ['with Idempotency-Key is made again', { 'Idempotency-Key': 'k' }, [201]],
  ] as const) {
    it(what, async (test) => {
      const orchestrators = await startManyOrchestrators(2, { accounts: true });
      const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: orchestrators.endpoint });
      test.after(async () => {
        await gateway.close();
        await orchestrators.close();
      });
      await untilEndpoints(gateway, { up: 2 });
      const asked = Promise.withResolvers<number>();
      for (const index of [0, 1]) {
        orchestrators.at(index).onCall('acceptWorkflow', () => {
          asked.resolve(index);
          return new Promise(() => {});
        });
      }
      const answer = gateway.post('/v1/workflows', SPEC, headers);
      const victim = await asked.promise;
      for (const index of [0, 1]) orchestrators.at(index).clearFaults();
      await orchestrators.kill(victim);
      assert.deepEqual([(await answer).status], statuses);
      const calls = orchestrators.counts('acceptWorkflow');
      assert.deepEqual([calls[victim], calls[1 - victim]], [1, statuses[0] === 201 ? 1 : 0]);
    });
  }
});

describe('a call that the only orchestrator refuses as UNAVAILABLE', () => {
  it('is not made again', async (test) => {
    const orchestrators = await startManyOrchestrators(1);
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: orchestrators.endpoint });
    test.after(async () => {
      await gateway.close();
      await orchestrators.close();
    });
    orchestrators.at(0).onCall('getWorkflow', unavailable);
    assert.equal((await gateway.request(PATH)).status, 503);
    assert.deepEqual(orchestrators.counts('getWorkflow'), [1]);
  });
});
