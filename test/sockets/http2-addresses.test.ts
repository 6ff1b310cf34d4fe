import assert from 'node:assert/strict';
import dns from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, describe, it, mock, type TestContext } from 'node:test';
import { SUBJECT } from '../support/http2-scene.ts';
import { onCall, serveHonestly } from '../support/raw-grpc.ts';
import { startRawHttp2Server } from '../support/raw-http2-server.ts';
import { findStablePorts } from '../support/stable-ports.ts';
import { failureOf, gatewayCode, openTransport } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const NAME = 'replicas.test';
const ADDRESSES = ['127.0.0.1', '127.0.0.2'] as const;

/** Servers on all addresses of the name, on one port. */
async function startReplicas(test: TestContext) {
  const served = new Map<string, number>();
  const serveOn = (host: string, port: number) =>
    startRawHttp2Server(
      (peer) => {
        onCall(peer, () => served.set(host, (served.get(host) ?? 0) + 1));
        serveHonestly(peer);
      },
      { host, port },
    );
  const [port] = (await findStablePorts(1)) as [number];
  const servers = new Map<string, Awaited<ReturnType<typeof serveOn>>>([
    [ADDRESSES[0], await serveOn(ADDRESSES[0], port)],
    [ADDRESSES[1], await serveOn(ADDRESSES[1], port)],
  ]);
  const over = await openTransport(SUBJECT, { host: NAME, port });
  test.after(async () => {
    over.close();
    for (const server of servers.values()) await server.close();
  });
  return {
    over,
    served,
    async stop(host: string): Promise<void> {
      await servers.get(host)!.close();
      servers.delete(host);
    },
    async restart(host: string): Promise<void> {
      servers.set(host, await serveOn(host, port));
    },
  };
}

// Only Linux has more than one address of its own without being told.
describe('direct, with several addresses of a name,', { skip: process.platform !== 'linux' }, () => {
  before(() => {
    mock.method(dns, 'lookup', async (name: string) => {
      assert.equal(name, NAME);
      return ADDRESSES.map((address) => ({ address, family: 4 }));
    });
    syncBuiltinESMExports();
  });
  after(() => {
    mock.restoreAll();
    syncBuiltinESMExports();
  });

  it('takes turns, goes on without one that is down, and comes back to it', async (test) => {
    const { over, served, stop, restart } = await startReplicas(test);
    const callAll = async () => {
      served.clear();
      for (let index = 0; index < 40; index++) assert.equal((await over.get(`${index}`)).id, `${index}`);
    };
    await until('both are connected', async () => {
      await callAll();
      return served.size === 2;
    });
    await callAll();
    for (const count of served.values()) assert.equal(count, 20);

    await stop(ADDRESSES[0]);
    // A call that was on its way when the server ended is lost.
    await until('calls go on', () =>
      over.get('on').then(
        () => true,
        () => false,
      ),
    );
    await callAll();
    assert.deepEqual([...served.keys()], [ADDRESSES[1]]);

    await restart(ADDRESSES[0]);
    await until('it takes its turn again', async () => {
      await callAll();
      return served.size === 2;
    });
  });

  it('fails at once when all are down, and goes on when one is back', async (test) => {
    const { over, stop, restart } = await startReplicas(test);
    await over.get('a');
    for (const address of ADDRESSES) await stop(address);
    await until('calls fail', () =>
      over.get('lost').then(
        () => false,
        () => true,
      ),
    );
    for (let tries = 0; tries < 5; tries++) {
      assert.equal(gatewayCode(await within('a refusal', failureOf(over.get('b')), 2_500)), 'UNAVAILABLE');
    }
    await restart(ADDRESSES[1]);
    await until('calls go through', () =>
      over.get('c').then(
        () => true,
        () => false,
      ),
    );
  });
});
