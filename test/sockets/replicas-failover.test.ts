import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { eventually } from '../orchestrator/harness.ts';
import { createReplicas, fanOut, untilOver } from '../orchestrator/replicas.ts';
import { type ExternalPostgres, startExternalPostgres } from '../support/external-postgres.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';

/** A query without an answer is given up after 12 s. */
const RECOVERED_MS = 30_000;

/** A proxy whose open connections can be made to carry nothing for ever, as after a failover; new ones are good. */
async function startForgetfulProxy(port: number) {
  const links = new Set<{ near: net.Socket; far: net.Socket; isForgotten: boolean }>();
  const server = net.createServer({ noDelay: true }, (near) => {
    const link = { near, far: net.connect({ port, host: '127.0.0.1', noDelay: true }), isForgotten: false };
    links.add(link);
    const pass = (from: net.Socket, to: net.Socket) =>
      from
        .on('data', (chunk) => link.isForgotten || to.write(chunk))
        .on('error', () => {})
        .on('close', () => link.isForgotten || to.destroy());
    pass(near, link.far);
    pass(link.far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    forget() {
      for (const link of links) {
        link.isForgotten = true;
        link.far.destroy();
      }
    },
    close() {
      for (const { near, far } of links) for (const socket of [near, far]) socket.destroy();
      server.close();
    },
  };
}

describe('an orchestrator whose connections are lost without a word', () => {
  let postgres: ExternalPostgres;
  let objectStore: TestObjectStore;
  let replicas: ReturnType<typeof createReplicas>;

  before(async () => {
    [postgres, objectStore] = await Promise.all([startExternalPostgres(), startTestObjectStore()]);
    replicas = createReplicas(objectStore);
  });
  after(async () => {
    await replicas?.close();
    await objectStore?.close();
    await postgres?.close();
  });

  it('takes steps again', async () => {
    const url = new URL(await postgres.createDatabase());
    const proxy = await startForgetfulProxy(Number(url.port));
    try {
      url.port = String(proxy.port);
      const { client, ended } = await replicas.start(url.href);
      const first = await client.submitWorkflow({ spec: fanOut(4, { seconds: 0 }) });
      await untilOver(client, first.id);
      proxy.forget();
      const submit = () => client.submitWorkflow({ spec: fanOut(4, { seconds: 0 }) }).catch(() => undefined);
      const { id } = await eventually('a call comes through', submit, RECOVERED_MS);
      const { state } = await untilOver(client, id, RECOVERED_MS);
      assert.equal(state, JobState.SUCCEEDED);
      assert.equal(await ended(), 8);
    } finally {
      proxy.close();
    }
  });
});
