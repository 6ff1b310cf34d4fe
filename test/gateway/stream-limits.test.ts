import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { collectSse } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

const keyOf = (name: string) => `the-key-of-${name}`;
const hashOf = (name: string) => createHash('sha256').update(keyOf(name)).digest('hex');
const bearer = (name: string) => ({ Authorization: `Bearer ${name === 'admin' ? 'dev-token' : keyOf(name)}` });

describe('open streams', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  let abort = new AbortController();
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      AUTH_CACHE_TTL_SECONDS: '0.1',
      HEARTBEAT_SECONDS: '0.1',
      STREAM_MAX_PER_PRINCIPAL: '3',
      STREAM_MAX_PER_PROCESS: '5',
      STREAM_BUFFER_BYTES: '4096',
    });
    for (const name of ['alice', 'bob']) fake.keys.set(hashOf(name), { principal: name, limit: 0n, used: 0n });
  });
  afterEach(async () => {
    abort.abort();
    abort = new AbortController();
    fake.clearFaults();
    for (const key of fake.keys.values()) delete key.denyReason;
    await until('all streams are over', async () => (await free('admin')) === 5);
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });

  const running = (owner = '') => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }, owner).id;
  const open = (path: string, name: string, init: RequestInit = {}) =>
    gateway.request(path, { headers: bearer(name), signal: abort.signal, ...init });

  /** How many streams the caller gets before it is refused; they are given back. */
  async function free(name: string): Promise<number> {
    const id = running(name === 'admin' ? '' : name);
    const leave = new AbortController();
    const path = `/v1/workflows/${id}/events`;
    for (let count = 0; ; count++) {
      const response = await gateway.request(path, { headers: bearer(name), signal: leave.signal });
      if (response.status === 200) continue;
      leave.abort();
      await until('they are given back', () => fake.openStreams() === 0);
      return count;
    }
  }

  it('are capped for each principal and for the process, with Retry-After', async () => {
    const alices = `/v1/workflows/${running('alice')}/events`;
    for (let count = 0; count < 3; count++) assert.equal((await open(alices, 'alice')).status, 200);
    const fourth = await open(alices, 'alice');
    const { code, retryable } = (await fourth.json()) as { code: string; retryable: boolean };
    assert.deepEqual([fourth.status, code, retryable], [429, 'TOO_MANY_STREAMS', true]);
    assert.ok(Number(fourth.headers.get('retry-after')) >= 1);
    const poll = await open(`/v1/workflows/${running('alice')}?wait=1`, 'alice');
    assert.equal(poll.status, 429, 'a long poll counts, too');
    const bobs = `/v1/workflows/${running('bob')}/events`;
    for (let count = 0; count < 2; count++) assert.equal((await open(bobs, 'bob')).status, 200);
    for (const name of ['bob', 'admin']) {
      const sixth = await open(bobs, name);
      const error = (await sixth.json()) as { code: string };
      assert.deepEqual([sixth.status, error.code, sixth.headers.has('retry-after')], [503, 'OVERLOADED', true], name);
    }
    assert.equal((await open(`/v1/workflows/${running('alice')}`, 'alice')).status, 200, 'a plain read is no stream');
    const metrics = await (await gateway.request('/metrics')).text();
    assert.match(metrics, /event_stream_refusals_total\{reason="principal"\} 2\n/);
    assert.match(metrics, /event_stream_refusals_total\{reason="process"\} 2\n/);
  });

  const exits: Record<string, (id: string) => Promise<unknown>> = {
    'the client leaves': async (id) => {
      const leave = new AbortController();
      await open(`/v1/workflows/${id}/events`, 'alice', { signal: leave.signal });
      leave.abort();
    },
    'the client leaves before the first byte': async (id) => {
      const leave = new AbortController();
      fake.onCall('getWorkflow', () => new Promise((resolve) => setTimeout(resolve, 50)));
      const asked = open(`/v1/workflows/${id}/events`, 'alice', { signal: leave.signal });
      const calls = fake.countCalls('getWorkflow');
      await until('it is being read', () => fake.countCalls('getWorkflow') > calls);
      leave.abort();
      await assert.rejects(asked);
    },
    'the workflow is over': async (id) => {
      const stream = collectSse(await open(`/v1/workflows/${id}/events`, 'alice'));
      fake.workflowUpdate(id, JobState.FAILED);
      await within('the end', stream);
    },
    'there is nothing more': async (id) => {
      fake.workflowUpdate(id, JobState.FAILED);
      assert.equal((await open(`/v1/workflows/${id}/events?last_event_id=1`, 'alice')).status, 204);
    },
    'the workflow is not there': async () => {
      assert.equal((await open('/v1/workflows/none/events', 'alice')).status, 404);
    },
    'the cursor is no cursor': async (id) => {
      assert.equal((await open(`/v1/workflows/${id}/events?last_event_id=x`, 'alice')).status, 400);
    },
    'the orchestrator is down': async (id) => {
      fake.onCall('getWorkflow', () => {
        throw new ConnectError('down', Code.Unavailable);
      });
      assert.equal((await open(`/v1/workflows/${id}/events`, 'alice')).status, 503);
      fake.clearFaults();
    },
    'only the headers were asked for': async (id) => {
      assert.equal((await open(`/v1/workflows/${id}/events`, 'alice', { method: 'HEAD' })).status, 200);
    },
    'the stream breaks with an error': async (id) => {
      fake.onCall('streamWorkflowEvents', () => {
        throw new ConnectError('no', Code.PermissionDenied);
      });
      const events = await within('the end', collectSse(await open(`/v1/workflows/${id}/events`, 'alice')));
      assert.equal(events.at(-1)?.event, 'error');
    },
    'a long poll is answered': async (id) => {
      assert.equal((await open(`/v1/workflows/${id}?wait=1`, 'alice')).status, 200);
    },
    'a long poll is left': async (id) => {
      const leave = new AbortController();
      const asked = open(`/v1/workflows/${id}?wait=60`, 'alice', { signal: leave.signal });
      await until('it is waiting', () => fake.openStreams() === 1);
      leave.abort();
      await assert.rejects(asked);
    },
    'the key is revoked': async (id) => {
      const stream = collectSse(await open(`/v1/workflows/${id}/events`, 'alice'));
      fake.keys.get(hashOf('alice'))!.denyReason = 'revoked';
      await within('the end', stream);
      // The refusal is remembered for 5 seconds.
      fake.keys.set(hashOf('alice'), { principal: 'alice', limit: 0n, used: 0n });
    },
  };
  for (const [what, leave] of Object.entries(exits)) {
    it(`give their slot back when ${what}`, async () => {
      await leave(running('alice'));
      fake.clearFaults();
      await until('all are free', async () => (await free('admin')) === 5);
      if (what !== 'the key is revoked') assert.equal(await free('alice'), 3);
    });
  }

  it('end when their key is revoked, also a busy one and a long poll, and nobody else does', async () => {
    const id = running('bob');
    const path = `/v1/workflows/${id}/events`;
    const revoked = collectSse(await open(path, 'bob'));
    const polled = open(`/v1/workflows/${id}?wait=60`, 'bob');
    const others = collectSse(await open(path, 'admin'));
    const busy = setInterval(() => fake.stepUpdate(id, { stepId: 'a' }), 10);
    fake.keys.get(hashOf('bob'))!.denyReason = 'key revoked by its owner';
    const events = await within('the stream ends', revoked);
    assert.equal(events.at(-1)?.event, 'error');
    const { code, retryable } = JSON.parse(events.at(-1)!.data!);
    assert.deepEqual([code, retryable], ['KEY_REVOKED', false]);
    assert.equal((await within('the poll ends', polled)).status, 401);
    assert.equal((await gateway.request(path, { headers: bearer('bob') })).status, 401);
    clearInterval(busy);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    assert.equal((await within('the others end', others)).at(-1)?.event, 'end');
  });

  it('go on while nobody can say whether their key is good', async () => {
    const other = 'carol';
    fake.keys.set(hashOf(other), { principal: other, limit: 0n, used: 0n });
    const id = running(other);
    const stream = collectSse(await open(`/v1/workflows/${id}/events`, other));
    fake.onCall('authenticateApiKey', () => {
      throw new ConnectError('down', Code.Unavailable);
    });
    const before = fake.countCalls('authenticateApiKey');
    await until('it was looked up in vain', () => fake.countCalls('authenticateApiKey') > before + 2);
    fake.clearFaults();
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    assert.equal((await within('the end', stream)).at(-1)?.event, 'end');
  });
});
