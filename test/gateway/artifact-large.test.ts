import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathOf, readFailures, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openRaw, sendRaw } from '../support/raw-request.ts';
import { type RawStore, serve, startRawStore } from '../support/raw-store.ts';
import { until, within } from '../support/waiting.ts';

const MIB = 2 ** 20;
const CONTENT = randomBytes(24 * MIB);
const SENT = 10 * MIB;
const KEY = 'runs/large.bin';
const IDLE_SECONDS = 1;

/** Says that it sends all, but sends no more than its beginning. */
const begin = (socket: Socket) => {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${CONTENT.length}\r\n\r\n`);
  socket.write(CONTENT.subarray(0, SENT));
};

describe('a large file', () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  let file: string;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      OBJECT_STORE_READ_TIMEOUT_SECONDS: String(IDLE_SECONDS),
      ...storeSettings(store.url),
    });
    file = pathOf(recordFiles(fake, [{ key: KEY, sizeBytes: CONTENT.length, sha256: sha256(CONTENT) }]), KEY);
  });
  after(async () => {
    await gateway.close();
    await store.close();
    await fake.close();
  });

  const brokenCount = async () => (await readFailures(gateway)).broken ?? 0;

  it('comes whole, also in large parts', async () => {
    store.behave(serve(CONTENT));
    for (const [first, end] of [
      [0, CONTENT.length],
      [1, 9 * MIB],
      [CONTENT.length - 5 * MIB, CONTENT.length],
    ] as const) {
      const response = await gateway.request(file, { headers: { Range: `bytes=${first}-${end - 1}` } });
      const body = Buffer.from(await response.arrayBuffer());
      assert.equal(response.status, 206);
      assert.ok(body.equals(CONTENT.subarray(first, end)));
    }
    await until('the connections to the store are closed', () => store.openConnections() === 0);
  });

  it('comes whole to a client that stops to read for longer than the store may be silent', async () => {
    store.behave(serve(CONTENT));
    const response = await fetch(gateway.url + file, { headers: ADMIN });
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body!) {
      chunks.push(chunk);
      if (chunks.length === 3) await sleep(IDLE_SECONDS * 1500);
    }
    assert.ok(Buffer.concat(chunks).equals(CONTENT));
  });

  for (const [name, end] of [
    ['ends', (socket: Socket) => socket.end()],
    ['is reset', (socket: Socket) => socket.resetAndDestroy()],
    ['goes silent', () => undefined],
  ] as const) {
    it(`breaks visibly when the store ${name} in the middle`, async () => {
      const before = await brokenCount();
      store.behave((socket) => {
        begin(socket);
        setTimeout(end, 50, socket);
      });
      const { status, body, whole } = await sendRaw(gateway.port, file);
      assert.deepEqual([status, whole], [200, false]);
      assert.ok(body.equals(CONTENT.subarray(0, body.length)));
      assert.equal((await brokenCount()) - before, 1);
      await until('the connection to the store is closed', () => store.openConnections() === 0, 1_000);
    });
  }

  it('is let go of within a second when the client has left, and counts as nobody’s failure', async () => {
    const before = await brokenCount();
    store.behave(serve(CONTENT));
    const client = openRaw(gateway.port, file);
    await within('the first bytes', once(client, 'readable'), 5_000);
    assert.equal(store.openConnections(), 1);
    client.destroy();
    await until('the connection to the store is closed', () => store.openConnections() === 0, 1_000);
    assert.equal(await brokenCount(), before);
  });
});
