import assert from 'node:assert/strict';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Code, ConnectError } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { TRANSPORTS } from '../../src/gateway/upstream/transport.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { drainNumbers, failureOf, gatewayCode, isOnNodeHttp2, openTransport } from '../support/transport-under-test.ts';
import { within } from '../support/waiting.ts';

const own = createSelfSigned('localhost');
const foreign = createSelfSigned('elsewhere.example');

/** Answers with what was asked. */
const handler = connectNodeAdapter({
  routes: (router) =>
    router.service(OrchestratorService, {
      getWorkflow: ({ workflowId }) => {
        if (workflowId === 'error=1') throw new ConnectError('no such id', Code.NotFound);
        return { id: workflowId };
      },
      async *streamWorkflowEvents() {
        for (let number = 1n; number <= 500n; number++) yield { eventId: number, workflowId: 'x'.repeat(1_000) };
      },
    }),
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return (server.address() as AddressInfo).port;
}

for (const name of TRANSPORTS) {
  describe(`TLS over ${name}`, () => {
    const sockets = new Set<TLSSocket>();
    const good = createSecureServer(own, handler);
    const misnamed = createSecureServer(foreign, handler);
    const old = createServer({ ...own, ALPNProtocols: ['http/1.1'] });
    const silent = createServer(own);
    const ports = { good: 0, misnamed: 0, old: 0, silent: 0 };

    before(async () => {
      for (const server of [good, misnamed, old, silent]) {
        server.on('secureConnection', (socket) => {
          sockets.add(socket);
          socket.on('error', () => {});
          socket.once('close', () => sockets.delete(socket));
        });
      }
      ports.good = await listen(good);
      ports.misnamed = await listen(misnamed);
      ports.old = await listen(old);
      ports.silent = await listen(silent);
    });
    after(() => {
      for (const socket of sockets) socket.destroy();
      for (const server of [good, misnamed, old, silent]) server.close();
    });

    /** A transport to one of them that trusts what is ours, and how its first call fails. */
    async function refusal(server: keyof typeof ports, ca: string | undefined): Promise<ConnectError> {
      const over = await openTransport(name, { port: ports[server], scheme: 'https', ...(ca && { ca }) });
      try {
        return await within('the refusal', failureOf(over.get('a', { timeoutMs: isOnNodeHttp2(name) ? 300 : 4_000 })));
      } finally {
        over.close();
      }
    }

    it('carries calls and streams, when the certificate is from the given authority', async () => {
      const over = await openTransport(name, { port: ports.good, scheme: 'https', ca: own.cert });
      assert.equal((await over.get('hello')).id, 'hello');
      assert.equal((await over.get('y'.repeat(300_000))).id.length, 300_000);
      assert.equal((await failureOf(over.get({ error: true } as never))).code, Code.NotFound);
      assert.equal((await drainNumbers(over.stream({}))).length, 500);
      const many = await Promise.all(Array.from({ length: 100 }, (_, index) => over.get(`${index}`)));
      assert.deepEqual(
        many.map(({ id }) => Number(id)),
        many.map((_, index) => index),
      );
      over.close();
    });

    it('refuses a certificate of an authority that it does not know', async () => {
      const error = await refusal('good', undefined);
      assert.equal(gatewayCode(error), 'UNAVAILABLE');
      assert.match(error.message, /self.signed|unable to verify/i);
    });

    it('refuses a certificate for another name', async () => {
      const error = await refusal('misnamed', foreign.cert);
      assert.equal(gatewayCode(error), 'UNAVAILABLE');
      assert.match(error.message, /localhost|altnames/i);
    });

    for (const [what, server] of [
      ['offers HTTP/1.1 only', 'old'],
      ['negotiates nothing', 'silent'],
    ] as const) {
      it(`refuses a server that ${what}`, async () => {
        const error = await refusal(server, own.cert);
        // node:http2 speaks HTTP/2 all the same, and waits.
        if (isOnNodeHttp2(name)) assert.match(gatewayCode(error), /UNAVAILABLE|DEADLINE_EXCEEDED/);
        else assert.deepEqual([error.code, gatewayCode(error)], [Code.Unavailable, 'UNAVAILABLE']);
        if (!isOnNodeHttp2(name)) assert.match(error.message, /ALPN|HTTP\/2|no application protocol/i);
      });
    }
  });
}
