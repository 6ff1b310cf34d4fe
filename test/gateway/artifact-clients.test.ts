import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { faultsOf, pathOf, readFailures, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openRaw, sendRaw } from '../support/raw-request.ts';
import { type RawStore, serve, startRawStore } from '../support/raw-store.ts';
import { until, within } from '../support/waiting.ts';

const GIB = 2 ** 30;
/** More than all the buffers between a store and a client hold, most of which are the kernel's. */
const BUFFERS = 64 * 2 ** 20;
const READ_TIMEOUT_SECONDS = 1.5;

describe('clients of artifacts', () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      OBJECT_STORE_READ_TIMEOUT_SECONDS: String(READ_TIMEOUT_SECONDS),
    });
  });
  after(async () => {
    await gateway.close();
    await store.close();
    await fake.close();
  });

  const record = (sizeBytes: number) => pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes }]), 'a/b');

  /** A store that sends a GiB as fast as it is taken. Says how many bytes its sockets took. */
  function sendWithoutEnd(): () => number {
    let sent = 0;
    const chunk = Buffer.alloc(65_536);
    store.behave((socket) => {
      const send = () => {
        while (!socket.destroyed && sent < GIB && !socket.writableNeedDrain) {
          sent += chunk.length;
          socket.write(chunk);
        }
      };
      socket.on('drain', send);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${GIB}\r\n\r\n`);
      send();
    });
    return () => sent;
  }

  /** Waits until a count has been the same for as long as the store might at most be silent. */
  async function untilStill(label: string, count: () => number): Promise<void> {
    let seen = { count: -1, at: 0 };
    await until(label, () => {
      if (count() !== seen.count) seen = { count: count(), at: performance.now() };
      return performance.now() - seen.at > READ_TIMEOUT_SECONDS * 1_000;
    });
  }

  async function leavesNoTrace(requestId: string): Promise<void> {
    await until("the store's connection is closed", () => store.openConnections() === 0, 1_000);
    const line = `"request_id":"${requestId}"`;
    await until('it is logged as the client that left', () =>
      gateway.logLines.some((text) => text.includes(line) && text.includes('"status":499')),
    );
    assert.deepEqual(faultsOf(gateway, requestId), []);
    assert.deepEqual(await readFailures(gateway), {});
  }

  it('may leave at full speed', async () => {
    sendWithoutEnd();
    const socket = openRaw(gateway.port, record(GIB), { headers: { 'X-Request-Id': 'fast' } });
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    await until('a few megabytes have come', () => received > 5e6);
    socket.destroy();
    await leavesNoTrace('fast');
  });

  it('hold back the store while they read nothing, and may leave then', async () => {
    const sent = sendWithoutEnd();
    const socket = openRaw(gateway.port, record(GIB), { headers: { 'X-Request-Id': 'paused' } });
    await once(socket, 'readable');
    await untilStill('the store is held back', sent);
    assert.ok(sent() < BUFFERS, `${sent()} bytes`);
    assert.equal(store.openConnections(), 1, 'the silence was not the store’s');
    socket.destroy();
    await leavesNoTrace('paused');
  });

  it('are cut off when they take nothing for too long, and the store is let go', async (t) => {
    const hasty = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      SEND_TIMEOUT_SECONDS: '1',
    });
    t.after(hasty.close);
    sendWithoutEnd();
    const [idle, slow] = [openRaw(hasty.port, record(GIB)), openRaw(hasty.port, record(GIB))];
    await Promise.all([once(idle, 'readable'), once(slow, 'readable')]);
    let taken = 0;
    const take = () => {
      taken += slow.read()?.length ?? 0;
      return taken;
    };
    await until('one of them is cut off', () => take() > 0 && store.openConnections() === 1, 10_000);
    const takenThen = taken;
    await until('the other one goes on', () => take() > takenThen + 2e6, 10_000);
    assert.equal(store.openConnections(), 1);
    slow.destroy();
    idle.destroy();
    await until("the store's connections are closed", () => store.openConnections() === 0);
    assert.equal(hasty.logLines.filter((line) => line.includes('"status":499')).length, 2);
    assert.deepEqual(await readFailures(hasty), {});
  });

  it('may leave before the first byte', async () => {
    const asked = new Promise<void>((resolve) => store.behave(() => resolve()));
    const socket = openRaw(gateway.port, record(GIB), { headers: { 'X-Request-Id': 'early' } });
    await within('the store is asked', asked);
    socket.destroy();
    await leavesNoTrace('early');
  });

  it('may be slower than the store may be, up to the last byte', async () => {
    // Of some of these the store has sent everything by the time that their reader goes on.
    const sizes = [100_000, 3e6, 6e6, 9e6, 40e6];
    store.behave((socket, request) =>
      serve(Buffer.alloc(Number(/size-(\d+)/.exec(request.target)![1]), 7))(socket, request),
    );
    const readers = sizes.map((size) => {
      const key = `size-${size}`;
      const path = pathOf(recordFiles(fake, [{ key, sizeBytes: size }]), key);
      return { size, socket: openRaw(gateway.port, path, { headers: { Connection: 'close' } }) };
    });
    await Promise.all(readers.map(({ socket }) => within('the first bytes', once(socket, 'readable'))));
    const pausedAt = performance.now();
    await until('twice the read timeout', () => performance.now() - pausedAt > READ_TIMEOUT_SECONDS * 2_000);
    for (const { size, socket } of readers) {
      const answer = Buffer.concat(await within('the rest', socket.toArray(), 20_000));
      assert.equal(answer.length - answer.indexOf('\r\n\r\n') - 4, size);
    }
    assert.deepEqual(await readFailures(gateway), {});
  });

  it('do not keep each other waiting, however many are slow', async (t) => {
    const patient = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) });
    t.after(patient.close);
    store.behave((socket) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${GIB}\r\n\r\nthe first bytes`));
    const slowPath = record(GIB);
    const slow = Array.from({ length: 120 }, () => openRaw(patient.port, slowPath));
    await Promise.all(slow.map((socket) => within('the first bytes', once(socket, 'readable'), 10_000)));
    store.behave(serve(Buffer.from('quick')));
    const { status, body } = await sendRaw(patient.port, record(5));
    for (const socket of slow) socket.destroy();
    assert.deepEqual([status, body.toString()], [200, 'quick']);
  });
});
