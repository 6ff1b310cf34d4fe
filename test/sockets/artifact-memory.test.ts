import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { pathOf, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN } from '../support/gateway.ts';
import { openRaw } from '../support/raw-request.ts';
import { type RawStore, startRawStore } from '../support/raw-store.ts';
import { type Replica, startReplica } from '../support/replica.ts';
import { until, within } from '../support/waiting.ts';

const MIB = 2 ** 20;
const SIZE = 300 * MIB;
const SLOW_READERS = 40;
const GROWTH_BOUND = 60 * MIB;

describe('the memory of downloads', {
  skip: process.platform !== 'linux' && 'resident memory is read from Linux',
}, () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: Replica;
  let file: string;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore((socket) => send(socket, SIZE));
    gateway = await startReplica({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) });
    file = pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes: SIZE }]), 'a/b');
  });
  after(async () => {
    await gateway.end('SIGKILL');
    await store.close();
    await fake.close();
  });

  async function residentBytes(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${gateway.port()}/metrics`)).text();
    return Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)![1]);
  }

  async function downloadAll(): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${gateway.port()}${file}`, { headers: ADMIN });
    let received = 0;
    for await (const chunk of response.body!) received += chunk.length;
    assert.equal(received, SIZE);
  }

  it('is constant, whatever their size, and however many readers are slow', async () => {
    await within('a first download', downloadAll(), 20_000);
    const before = await residentBytes();
    const readers = Array.from({ length: SLOW_READERS }, () => openRaw(gateway.port(), file));
    await Promise.all(readers.map((reader) => within('the first bytes', once(reader, 'readable'), 10_000)));
    await within('a download beside them', downloadAll(), 20_000);
    await until('every reader has a connection to the store', () => store.openConnections() >= SLOW_READERS);
    const growth = (await residentBytes()) - before;
    for (const reader of readers) reader.destroy();
    await until('the connections of the readers are closed', () => store.openConnections() <= 1);
    assert.ok(growth < GROWTH_BOUND, `${(growth / MIB).toFixed(1)} MiB more`);
  });
});

/** Sends a file of zeros as fast as it is taken. */
function send(socket: Socket, sizeBytes: number): void {
  const chunk = Buffer.alloc(65_536);
  let left = sizeBytes;
  const go = () => {
    while (left > 0 && !socket.destroyed && !socket.writableNeedDrain) {
      const part = chunk.subarray(0, left);
      left -= part.length;
      socket.write(part);
    }
    if (left === 0) socket.off('drain', go);
  };
  socket.on('drain', go);
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${sizeBytes}\r\n\r\n`);
  go();
}
