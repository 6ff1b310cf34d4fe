import assert from 'node:assert/strict';
import dns from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, describe, it, mock, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import type { AddressCounts } from '../../src/gateway/upstream/http2/backends.ts';
import { createTransport } from '../../src/gateway/upstream/transport.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { data, FRAME } from '../support/h2-frames.ts';
import { answerTo, head, message, onCall, type RawCall, serveHonestly, tail } from '../support/raw-grpc.ts';
import { type RawPeer, startRawHttp2Server } from '../support/raw-http2-server.ts';
import { until, within } from '../support/waiting.ts';

const NAME = 'headless.test';
const HOSTS = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;
const RESOLVE_MS = 100;
/** What the test's servers leave open until they are told. */
const OPEN = 'open';

const OTHER_NAME = 'other.test';
/** Its resolver says nothing until the test lets it. */
const SLOW_NAME = 'slow.test';
let slowAnswer: Promise<void> = Promise.resolve();

/** What the name has now, what the other one has, and how often the first was asked for. */
let addresses: readonly string[] = [];
let otherAddresses: readonly string[] = [];
let lookups = 0;

/** A server on each of the hosts, on one port, and the gateway's transport to the names. */
async function startScene(test: TestContext, names: readonly string[] = [NAME]) {
  const served = new Map<string, number>();
  const left: { readonly host: string; readonly peer: RawPeer; readonly call: RawCall }[] = [];
  const peers = new Map<string, RawPeer[]>();
  const serveOn = (host: string, port: number) =>
    startRawHttp2Server(
      (peer) => {
        peers.set(host, [...(peers.get(host) ?? []), peer]);
        onCall(peer, (call) => {
          served.set(host, (served.get(host) ?? 0) + 1);
          if (call.text === OPEN) left.push({ host, peer, call });
          else peer.send(...answerTo(call));
        });
      },
      { host, port },
    );
  const first = await serveOn(HOSTS[0], 0);
  const servers = [first, ...(await Promise.all(HOSTS.slice(1).map((host) => serveOn(host, first.port))))];
  const told: string[] = [];
  let counts: AddressCounts = { up: 0, down: 0, ejected: 0 };
  const transport = await createTransport('direct', {
    endpoint: names.map((name) => `dns:///${name}:${first.port}`).join(','),
    keepaliveMs: 60_000,
    readMaxBytes: 1_000_000,
    resolveMs: RESOLVE_MS,
    observer: {
      onCounts(now) {
        counts = now;
      },
      onLeftOut() {},
      onBack() {},
      onUnreachable: (address) => told.push(`cannot be reached: ${address}`),
      onReached: (address) => told.push(`reached: ${address}`),
      onUnresolved: (name) => told.push(`not found: ${name}`),
      onResolved: (name) => told.push(`found: ${name}`),
      onRetry() {},
      onRetryRefused() {},
    },
  });
  test.after(async () => {
    transport.close();
    for (const server of servers) await server.close();
  });
  const { getWorkflow } = createClient(OrchestratorService, transport);

  return {
    left,
    get: (workflowId: string) => getWorkflow({ workflowId }),
    counts: () => counts,
    /** What the gateway's log would have. */
    told,
    port: first.port,
    /** Nobody listens there any more. */
    end: (host: string) => servers[HOSTS.indexOf(host as (typeof HOSTS)[number])]!.close(),
    /** How many of so many calls each host was asked for. */
    async share(times: number): Promise<Record<string, number>> {
      served.clear();
      for (let index = 0; index < times; index++) assert.equal((await getWorkflow({ workflowId: 'a' })).id, 'a');
      return Object.fromEntries(served);
    },
    connections: (host: string): readonly RawPeer[] => peers.get(host) ?? [],
  };
}

// Only Linux has more than one address of its own without being told.
describe('orchestrators behind a name whose addresses change', { skip: process.platform !== 'linux' }, () => {
  before(() => {
    mock.method(dns, 'lookup', async (name: string) => {
      if (name === SLOW_NAME) await slowAnswer;
      assert.ok(name === NAME || name === OTHER_NAME || name === SLOW_NAME, name);
      if (name === NAME) lookups++;
      const now = name === NAME ? addresses : otherAddresses;
      if (now.length === 0) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
      return now.map((address) => ({ address, family: 4 }));
    });
    syncBuiltinESMExports();
  });
  after(() => {
    mock.restoreAll();
    syncBuiltinESMExports();
  });

  it('are found while those that were known are all well', async (test) => {
    addresses = HOSTS.slice(0, 1);
    const scene = await startScene(test);
    assert.deepEqual(await scene.share(10), { [HOSTS[0]]: 10 });
    addresses = HOSTS;
    await until('the new ones are asked', async () => {
      await scene.get('a');
      return scene.counts().up === 3;
    });
    const shares = await scene.share(30);
    assert.deepEqual(shares, { [HOSTS[0]]: 10, [HOSTS[1]]: 10, [HOSTS[2]]: 10 });
  });

  it('are drained when they have lost their name', async (test) => {
    addresses = HOSTS.slice(0, 2);
    const scene = await startScene(test);
    await until('both are asked', async () => {
      await scene.get('a');
      return scene.counts().up === 2;
    });
    const open = [scene.get(OPEN), scene.get(OPEN)];
    await until('one call is open at each', () => new Set(scene.left.map(({ host }) => host)).size === 2);

    addresses = HOSTS.slice(1, 2);
    await until('the first has lost its name', async () => {
      await scene.get('a');
      return scene.counts().up === 1;
    });
    assert.deepEqual(await scene.share(10), { [HOSTS[1]]: 10 });
    // What was open there is finished, and only then does the connection go.
    for (const { peer, call } of scene.left) {
      peer.send(head(call.streamId), data(call.streamId, message(OPEN)), tail(call.streamId));
    }
    for (const { id } of await within('the open calls', Promise.all(open))) assert.equal(id, OPEN);
    await within('the connection is closed', Promise.all(scene.connections(HOSTS[0]).map((peer) => peer.closed())));
    assert.deepEqual(await scene.share(10), { [HOSTS[1]]: 10 });
  });

  it('are kept while the name cannot be looked up', async (test) => {
    addresses = HOSTS.slice(0, 2);
    const scene = await startScene(test);
    await until('both are asked', async () => {
      await scene.get('a');
      return scene.counts().up === 2;
    });
    addresses = [];
    const before = lookups;
    await until('it was asked for in vain', async () => {
      await scene.get('a');
      return lookups >= before + 2;
    });
    assert.deepEqual(await scene.share(10), { [HOSTS[0]]: 5, [HOSTS[1]]: 5 });
  });

  it('are kept while one of several names cannot be looked up', async (test) => {
    addresses = HOSTS.slice(0, 1);
    otherAddresses = HOSTS.slice(1, 2);
    const scene = await startScene(test, [NAME, OTHER_NAME]);
    await until('both are asked', async () => {
      await scene.get('a');
      return scene.counts().up === 2;
    });
    addresses = [];
    otherAddresses = HOSTS.slice(1, 3);
    await until('the other name has one more', async () => {
      await scene.get('a');
      return scene.counts().up === 3;
    });
    assert.deepEqual(await scene.share(30), { [HOSTS[0]]: 10, [HOSTS[1]]: 10, [HOSTS[2]]: 10 });
  });

  it('are asked while another name is still being looked up', async (test) => {
    addresses = HOSTS.slice(0, 1);
    const { promise, resolve } = Promise.withResolvers<void>();
    slowAnswer = promise;
    test.after(() => resolve());
    const scene = await startScene(test, [NAME, SLOW_NAME]);
    assert.equal((await within('the answer', scene.get('a'), 2_000)).id, 'a');
    assert.deepEqual(scene.told, []);
  });

  it('are told of when their name or they themselves are gone, once, and when they are back', async (test) => {
    addresses = HOSTS.slice(0, 2);
    otherAddresses = [];
    const scene = await startScene(test, [NAME, OTHER_NAME]);
    await until('both are asked', async () => {
      await scene.get('a');
      return scene.counts().up === 2;
    });
    assert.deepEqual(scene.told, [`not found: ${OTHER_NAME}`]);
    await scene.end(HOSTS[1]);
    const before = lookups;
    await until('its loss is told, and names were looked up again', async () => {
      await scene.get('a');
      return scene.told.length > 1 && lookups >= before + 2;
    });
    otherAddresses = HOSTS.slice(2, 3);
    await until('the other name has one', async () => {
      await scene.get('a');
      return scene.counts().up === 2;
    });
    assert.deepEqual(scene.told, [
      `not found: ${OTHER_NAME}`,
      `cannot be reached: ${HOSTS[1]}:${scene.port}`,
      `found: ${OTHER_NAME}`,
    ]);
  });

  it('are not asked for by a gateway that has nothing to do', async (test) => {
    addresses = HOSTS.slice(0, 1);
    const scene = await startScene(test);
    await scene.get('a');
    const before = lookups;
    await sleep(RESOLVE_MS * 4);
    assert.equal(lookups, before);
    await scene.get('a');
    await until('the next call has it asked for', () => lookups === before + 1);
  });
});

describe('orchestrators of a list', () => {
  it('are each addressed by what is theirs', async (test) => {
    const addressed: string[][] = [[], []];
    const servers = await Promise.all(
      addressed.map((seen) =>
        startRawHttp2Server(
          (peer) => {
            // Nothing in a block of ours is compressed.
            peer.onFrame(({ type, payload }) => {
              if (type === FRAME.headers)
                seen.push(/127\.0\.0\.1:\d+/.exec(payload.toString('latin1'))?.[0] ?? 'nobody');
            });
            serveHonestly(peer);
          },
          { host: '127.0.0.1' },
        ),
      ),
    );
    const authorities = servers.map(({ port }) => `127.0.0.1:${port}`);
    const transport = await createTransport('direct', {
      endpoint: authorities.map((authority) => `http://${authority}`).join(','),
      keepaliveMs: 60_000,
      readMaxBytes: 1_000_000,
    });
    test.after(async () => {
      transport.close();
      for (const server of servers) await server.close();
    });
    const { getWorkflow } = createClient(OrchestratorService, transport);
    await until('both are asked', async () => {
      assert.equal((await getWorkflow({ workflowId: 'a' })).id, 'a');
      return addressed.every((seen) => seen.length > 0);
    });
    assert.deepEqual(
      addressed.map((seen) => [...new Set(seen)]),
      authorities.map((authority) => [authority]),
    );
  });
});
