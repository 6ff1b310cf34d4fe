import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { GATEWAY_PREFIX } from '../../src/gateway/config.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN } from '../support/gateway.ts';
import { type Program, startProgram } from '../support/process.ts';
import { readSse } from '../support/sse-client.ts';
import { openStalledReaders } from '../support/stalled-readers.ts';
import { until, within } from '../support/waiting.ts';

const MEBIBYTE = 2 ** 20;
/** More than the kernel takes for a connection on its own: 4 MiB to send, by Linux's default, and what is received. */
const MORE_THAN_SOCKETS_TAKE = 8_000_000;

describe('readers of events who do not read', () => {
  let fake: FakeOrchestrator;
  let program: Program;
  let url: string;
  let stalled: ReturnType<typeof openStalledReaders> | undefined;
  before(async () => {
    fake = await startFakeOrchestrator();
  });
  after(() => fake.close());
  afterEach(() => stalled?.leave());

  async function start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const all = { BIND_ADDR: '127.0.0.1:0', ORCHESTRATOR_ENDPOINT: fake.endpoint, ...settings };
    const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [GATEWAY_PREFIX + name, value]));
    program = startProgram('gateway', { env });
    const [, address] = await program.prints(/"address":"([^"]+)".*"ready"/);
    url = `http://${address}`;
  }

  async function stop(): Promise<void> {
    program.kill('SIGKILL');
    await program.exits();
  }

  const running = () => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
  const step = (id: string, sizeBytes: number) =>
    fake.stepUpdate(id, { stepId: 'a', error: { code: 'X', message: 'x'.repeat(sizeBytes) } });
  /** A running workflow with so many events of 100 kB after its first. */
  function startHistory(length: number): string {
    const workflow = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    for (let index = 0; index <= length; index++) step(workflow.id, 100_000);
    // An event that is newer than its workflow would be one that happens now.
    workflow.updatedAt = timestampFromDate(new Date());
    return workflow.id;
  }
  const eventsOf = (id: string) => `/v1/workflows/${id}/events`;
  function stall(id: string, count: number): void {
    stalled = openStalledReaders(Number(new URL(url).port), count, eventsOf(id), { ...ADMIN, 'Last-Event-ID': '1' });
  }

  /** Reads as fast as it can. `ended` settles with the stream. */
  async function openGoodReader(id: string) {
    const response = await fetch(url + eventsOf(id), { headers: { ...ADMIN, 'Last-Event-ID': '1' } });
    assert.equal(response.status, 200);
    const ids: string[] = [];
    const ended = (async () => {
      for await (const { id: eventId, data } of readSse(response)) if (eventId && data) ids.push(eventId);
    })();
    return { ids, ended };
  }

  async function measure() {
    const text = await (await fetch(`${url}/metrics`)).text();
    const readValue = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    return {
      open: readValue('foldforge_gateway_event_streams'),
      upstream: readValue('foldforge_gateway_upstream_event_streams'),
      cuts: readValue('foldforge_gateway_event_stream_cuts_total'),
      rssBytes: readValue('process_resident_memory_bytes'),
    };
  }

  async function assertAllIsFree(): Promise<void> {
    await until('no stream is open', async () => {
      const { open, upstream } = await measure();
      return open === 0 && upstream === 0 && fake.openStreams() === 0;
    });
  }

  const idsUpTo = (last: number) => Array.from({ length: last - 1 }, (_, index) => String(index + 2));

  describe('with the default settings', () => {
    before(() => start());
    after(stop);

    it('live: 200 of them are cut off, the others have everything, and memory stays flat', async () => {
      const id = running();
      step(id, 0);
      const good = await Promise.all([openGoodReader(id), openGoodReader(id), openGoodReader(id)]);
      stall(id, 200);
      await until('all are watching', async () => (await measure()).open === 203, 20_000);
      const before = await measure();
      let peakBytes = before.rssBytes;
      let last = 1;
      const allAreCut = async () => {
        step(id, 150_000);
        last++;
        await until('the good readers have it', () => good.every(({ ids }) => ids.length === last - 1));
        const { cuts, rssBytes } = await measure();
        peakBytes = Math.max(peakBytes, rssBytes);
        return cuts === 200;
      };
      await until('all are cut off', allAreCut, 60_000);
      // What may wait for each, and room for garbage. Since readers share the bytes of an event, it is 15 to 35 MiB in
      // fact. What the kernel holds is not the process's.
      const bound = 200 * 256 * 1024 + 50 * MEBIBYTE;
      assert.ok(peakBytes - before.rssBytes < bound, `grew by ${(peakBytes - before.rssBytes) / MEBIBYTE} MiB`);
      assert.equal((await measure()).open, 3, 'the good ones are still there');
      fake.workflowUpdate(id, JobState.SUCCEEDED);
      await within('the good readers end', Promise.all(good.map(({ ended }) => ended)));
      for (const { ids } of good) assert.deepEqual(ids, idsUpTo(last + 1));
      await assertAllIsFree();
      assert.equal((await measure()).cuts, 200);
    });

    it('in a replay: those who leave take their upstream streams with them', async () => {
      const id = startHistory(80);
      stall(id, 6);
      // Each goes on alone when the others are faster, or none of them is.
      await until('each has a stream of its own', () => fake.openStreams() >= 6, 20_000);
      stalled?.leave();
      await assertAllIsFree();
    });
  });

  describe('with little time to stall', () => {
    before(() => start({ STREAM_STALL_SECONDS: '0.5', HEARTBEAT_SECONDS: '0.2' }));
    after(stop);

    it('live: one is cut off at the next write, however little it is', async () => {
      const id = running();
      step(id, 0);
      const good = await openGoodReader(id);
      const { cuts } = await measure();
      stall(id, 1);
      await until('both are watching', async () => (await measure()).open === 2);
      step(id, MORE_THAN_SOCKETS_TAKE);
      await until('the good reader has it', () => good.ids.length === 1, 20_000);
      let last = 2;
      const isCut = async () => {
        step(id, 10);
        last++;
        return (await measure()).cuts === cuts + 1;
      };
      await until('it is cut off', isCut);
      fake.workflowUpdate(id, JobState.SUCCEEDED);
      await within('the good reader ends', good.ended);
      assert.deepEqual(good.ids, idsUpTo(last + 1));
      await assertAllIsFree();
    });

    it('is cut off by a heartbeat when nothing else is sent', async () => {
      const id = running();
      step(id, 0);
      const { cuts } = await measure();
      stall(id, 1);
      await until('it is watching', () => fake.openStreams() === 1);
      step(id, MORE_THAN_SOCKETS_TAKE);
      await until('it is cut off', async () => (await measure()).cuts === cuts + 1);
      await assertAllIsFree();
    });

    it('is cut off although the workflow is over, and nothing will be written any more', async () => {
      const id = running();
      step(id, 0);
      const good = await openGoodReader(id);
      const { cuts } = await measure();
      stall(id, 1);
      await until('both are watching', async () => (await measure()).open === 2);
      step(id, MORE_THAN_SOCKETS_TAKE);
      fake.workflowUpdate(id, JobState.SUCCEEDED);
      await within('the good reader ends', good.ended, 20_000);
      assert.deepEqual(good.ids, ['2', '3']);
      await assertAllIsFree();
      assert.equal((await measure()).cuts, cuts + 1);
    });

    it('in a replay: 50 of them are cut off, the others have everything, and memory stays flat', async () => {
      const id = startHistory(200);
      const before = await measure();
      stall(id, 50);
      let peakBytes = 0;
      const allAreCut = async () => {
        const { cuts, rssBytes } = await measure();
        peakBytes = Math.max(peakBytes, rssBytes);
        return cuts === before.cuts + 50;
      };
      await until('all are cut off', allAreCut, 60_000);
      // One history for each would be 1,000 MiB. What passes through on its way to the kernel's buffers leaves garbage.
      assert.ok(
        peakBytes - before.rssBytes < 100 * MEBIBYTE,
        `grew by ${(peakBytes - before.rssBytes) / MEBIBYTE} MiB`,
      );
      const good = await openGoodReader(id);
      fake.workflowUpdate(id, JobState.SUCCEEDED);
      await within('the good reader ends', good.ended, 20_000);
      assert.deepEqual(good.ids, idsUpTo(202));
      await assertAllIsFree();
    });
  });
});
