import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { eventually } from '../orchestrator/harness.ts';
import { fanOut, readEnded, untilOver, useReplicas } from '../orchestrator/replicas.ts';

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
  const cluster = useReplicas();

  it('takes steps again', async () => {
    const url = new URL(await cluster.postgres.createDatabase());
    const proxy = await startForgetfulProxy(Number(url.port));
    try {
      url.port = String(proxy.port);
      const replica = await cluster.replicas.start(url.href);
      const { client } = replica;
      const first = await client.submitWorkflow({ spec: fanOut(4, { seconds: 0 }) });
      await untilOver(client, first.id);
      proxy.forget();
      const submit = () => client.submitWorkflow({ spec: fanOut(4, { seconds: 0 }) }).catch(() => undefined);
      const { id } = await eventually('a call comes through', submit, RECOVERED_MS);
      const { state } = await untilOver(client, id, RECOVERED_MS);
      assert.equal(state, JobState.SUCCEEDED);
      assert.deepEqual(await readEnded([replica], 8), [8]);
    } finally {
      proxy.close();
    }
  });
});
