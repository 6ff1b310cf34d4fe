import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { FINISHED_AT, pathOf, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openRaw, sendRaw } from '../support/raw-request.ts';
import { type RawStore, startRawStore } from '../support/raw-store.ts';
import { within } from '../support/waiting.ts';

const FIVE_GIB = 5n * 2n ** 30n;
const SHA256 = 'a'.repeat(64);

describe('artifacts larger than 4 GiB', () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    // Claims five GiB, and has as many bytes of it as are asked for.
    store = await startRawStore((socket, { headers }) => {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
      if (first === undefined) {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${FIVE_GIB}\r\n\r\n${'x'.repeat(65_536)}`);
        return;
      }
      const length = Number(BigInt(last!) - BigInt(first) + 1n);
      socket.write(`HTTP/1.1 206 OK\r\nContent-Range: bytes ${first}-${last}/${FIVE_GIB}\r\n`);
      socket.write(`Content-Length: ${length}\r\n\r\n${'y'.repeat(length)}`);
    });
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) });
  });
  after(async () => {
    await gateway.close();
    await store.close();
    await fake.close();
  });

  const record = (sizeBytes: bigint) => pathOf(recordFiles(fake, [{ key: 'a/b', sizeBytes, sha256: SHA256 }]), 'a/b');

  it('have exact sizes, which cost no call to the store', async () => {
    for (const sizeBytes of [0n, 2n ** 32n, FIVE_GIB, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
      const path = record(sizeBytes);
      const head = await sendRaw(gateway.port, path, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers['content-length']], [200, String(sizeBytes)]);
      const outside = await sendRaw(gateway.port, path, { headers: { Range: `bytes=${sizeBytes}-` } });
      assert.deepEqual([outside.status, outside.headers['content-range']], [416, `bytes */${sizeBytes}`]);
      for (const [name, value] of [
        ['If-None-Match', `"${SHA256}"`],
        ['If-Modified-Since', FINISHED_AT],
      ] as const) {
        const fresh = await sendRaw(gateway.port, path, { headers: { [name]: value } });
        assert.deepEqual([fresh.status, fresh.body.length], [304, 0]);
      }
    }
    assert.equal(store.requests.length, 0);
  });

  it('give a range from their end', async () => {
    const { status, headers, body } = await sendRaw(gateway.port, record(FIVE_GIB), {
      headers: { Range: 'bytes=-10' },
    });
    assert.deepEqual([status, body.toString()], [206, 'y'.repeat(10)]);
    assert.equal(headers['content-range'], `bytes 5368709110-5368709119/${FIVE_GIB}`);
    assert.equal(store.requests.at(-1)!.headers.range, 'bytes=5368709110-5368709119');
  });

  it('give all of it, with the exact length', async () => {
    const socket = openRaw(gateway.port, record(FIVE_GIB));
    const [chunk] = (await within('the head', once(socket, 'data'))) as [Buffer];
    assert.match(chunk.toString(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\nContent-Length: 5368709120\r\n/i);
    socket.destroy();
  });
});
