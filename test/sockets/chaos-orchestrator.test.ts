import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { PARTITIONS, startPartitionProxy } from '../chaos/orchestrator/partition-proxy.ts';
import { runOrchestrator } from '../chaos/orchestrator/run.ts';
import { type ExternalPostgres, startExternalPostgres } from '../support/external-postgres.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { until, within } from '../support/waiting.ts';

// `npm run chaos:orchestrator` runs the full size.
describe('many orchestrators under faults', () => {
  let postgres: ExternalPostgres;
  let objectStore: TestObjectStore;

  before(async () => {
    [postgres, objectStore] = await Promise.all([startExternalPostgres(), startTestObjectStore()]);
  });
  after(async () => {
    await objectStore?.close();
    await postgres?.close();
  });

  it('do every step once, tell every event once, and charge what was accepted', async (t) => {
    t.diagnostic(`Postgres ${postgres.version}, ${postgres.kind}`);
    const size = { seed: 5, workflows: 12, seconds: 6, small: true, showAll: false };
    const { failures, lines } = await runOrchestrator({ ...size, postgres, objectStore });
    for (const line of lines) t.diagnostic(line);
    assert.deepEqual(failures, []);
  });
});

describe('a partition', { concurrency: true }, () => {
  for (const how of PARTITIONS) {
    it(`that is ${how} lets nothing through until it is healed`, async () => {
      const echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
      const echoPort = await listenOnLoopback(echo);
      const proxy = await startPartitionProxy(echoPort);
      const received: string[] = [];
      const sockets: net.Socket[] = [];
      async function open(): Promise<net.Socket> {
        const socket = net.connect({ port: proxy.port, host: '127.0.0.1' });
        sockets.push(socket);
        socket.on('error', () => {}).on('data', (data) => received.push(String(data)));
        await once(socket, 'connect');
        return socket;
      }
      try {
        const first = await open();
        first.write('before');
        await until('the echo', () => received.join() === 'before');
        const lost = new Promise((resolve) => first.once('close', resolve));
        await proxy.part(how);
        first.write(' amid');
        if (how === 'silent') (await open()).write(' anew');
        else await assert.rejects(open(), { code: 'ECONNREFUSED' });
        if (how === 'cut') await within('the connection to be lost', lost);
        await roundTrip(echoPort);
        assert.equal(received.join(), 'before');
        await proxy.heal();
        (await open()).write(' after');
        const wanted = { silent: 'before amid anew after', closed: 'before amid after', cut: 'before after' }[how];
        await until('what was held', () => received.length === wanted.split(' ').length);
        assert.deepEqual(received.map((text) => text.trim()).toSorted(), wanted.split(' ').toSorted());
      } finally {
        for (const socket of sockets) socket.destroy();
        await proxy.close();
        echo.close();
      }
    });
  }
});

/** By then everything that was sent before to the same server has come back, if it was let through. */
async function roundTrip(port: number): Promise<void> {
  for (let round = 0; round < 5; round++) {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.write('x');
    await once(socket, 'data');
    socket.destroy();
  }
}
