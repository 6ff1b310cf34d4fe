import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway } from '../support/gateway.ts';
import { collectSse, idsOf, readSse, type SseEvent } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

describe('event streams of many workflows', () => {
  for (const [maxStreams, count] of [
    [100, 250],
    [3, 20],
  ] as const) {
    it(`all flow, and starve no call, when the orchestrator takes ${maxStreams} on a connection`, async () => {
      const fake = await startFakeOrchestrator({ maxStreams });
      const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
      const ids = Array.from({ length: count }, () => fake.put({ state: JobState.RUNNING }).id);
      // All at once, so that most of them ask before the limit of the first connection is known.
      const seen: SseEvent[][] = ids.map(() => []);
      const streams = ids.map(async (id, index) => {
        const response = await gateway.request(`/v1/workflows/${id}/events`);
        assert.equal(response.status, 200);
        for await (const event of readSse(response)) seen[index]!.push(event);
      });
      await until('all are open', () => fake.openStreams() === count, 20_000);
      assert.equal((await within('a call', gateway.request('/v1/workflows'))).status, 200);
      const resumed = await gateway.request(`/v1/workflows/${ids[0]}/events?last_event_id=0`);
      assert.equal(resumed.status, 200);
      for (const id of ids) fake.stepUpdate(id, { stepId: 'a' });
      await until('all have seen it', () => seen.every((events) => idsOf(events).length === 1), 20_000);
      fake.dropConnections();
      for (const id of ids) fake.workflowUpdate(id, JobState.SUCCEEDED);
      await within('all end', Promise.all(streams), 20_000);
      for (const events of seen) {
        assert.deepEqual(idsOf(events), ['1', '2']);
        assert.equal(events.at(-1)?.event, 'end');
      }
      await collectSse(resumed);
      await gateway.close();
      await fake.close();
    });
  }

  it('come back to an orchestrator that takes fewer on a connection than before', async () => {
    const first = await startFakeOrchestrator({ maxStreams: 100 });
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: first.endpoint });
    const ids = Array.from({ length: 12 }, (_, index) => first.put({ id: `w${index}`, state: JobState.RUNNING }).id);
    const streams = ids.map(async (id) => collectSse(await gateway.request(`/v1/workflows/${id}/events`)));
    await until('all are open', () => first.openStreams() === ids.length);
    await first.close();
    const second = await startFakeOrchestrator({ maxStreams: 3, port: first.port });
    for (const id of ids) second.put({ id, state: JobState.RUNNING });
    await until('all are back', () => second.openStreams() === ids.length, 20_000);
    for (const id of ids) second.workflowUpdate(id, JobState.SUCCEEDED);
    for (const events of await within('all end', Promise.all(streams))) assert.equal(events.at(-1)?.event, 'end');
    await gateway.close();
    await second.close();
  });

  it('go on after GOAWAY, and new ones go over connections whose limit is known', async () => {
    const fake = await startFakeOrchestrator({ maxStreams: 3 });
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    const watch = (id: string) => gateway.request(`/v1/workflows/${id}/events`).then(collectSse);
    const ids = Array.from({ length: 14 }, () => fake.put({ state: JobState.RUNNING }).id);
    const early = ids.slice(0, 2).map(watch);
    await until('the first are open', () => fake.openStreams() === 2);
    fake.goAway();
    const late = ids.slice(2).map(watch);
    await until('the others are open, too', () => fake.openStreams() === ids.length, 10_000);
    assert.equal(fake.countCalls('streamWorkflowEvents'), ids.length, 'none was opened twice');
    for (const id of ids) fake.workflowUpdate(id, JobState.SUCCEEDED);
    for (const events of await within('all end', Promise.all([...early, ...late]))) {
      assert.deepEqual([idsOf(events), events.at(-1)?.event], [['1'], 'end']);
    }
    await gateway.close();
    await fake.close();
  });

  it('use connections on which TCP notices a peer that has vanished', {
    skip: process.platform !== 'linux',
  }, async () => {
    const fake = await startFakeOrchestrator();
    const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint });
    const { id } = fake.put({ state: JobState.RUNNING });
    const stream = collectSse(await gateway.request(`/v1/workflows/${id}/events`));
    await until('the stream is open', () => fake.openStreams() === 1);
    // proc(5), /proc/net/tcp: the timer of a connection that was made with keepalive is of kind 02.
    const port = fake.port.toString(16).toUpperCase().padStart(4, '0');
    const keptAlive = new RegExp(` [0-9A-F]{8}:${port} 01 \\S+ 02:`);
    await until('it is kept alive', () => keptAlive.test(readFileSync('/proc/net/tcp', 'latin1')));
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    await within('the end', stream);
    await gateway.close();
    await fake.close();
  });
});
