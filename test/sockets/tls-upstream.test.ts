import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createTransport, TRANSPORTS, type TransportName } from '../../src/gateway/upstream/transport.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type RpcServer, startRpcServer } from '../../src/orchestrator/rpc-server.ts';
import { createSidecarConnection } from '../../src/orchestrator/runners/sidecar/connection.ts';
import { createLog } from '../../src/shared/log.ts';
import { nameTlsFiles } from '../../src/shared/tls-files.ts';
import { type TlsWatch, watchTlsFiles } from '../../src/shared/tls-watch.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { failureOf, gatewayCode, READ_MAX_BYTES } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const NAMES = { cert: 'CERT', key: 'KEY', ca: 'CA' } as const;
const LOOK_MS = 20;

describe('gRPC with certificates on both sides', () => {
  const log = createLog('test', 'silent');
  const folder = createTlsFolder();
  const serverPair = createSelfSigned('localhost');
  const clientPair = createSelfSigned('gateway');
  const stranger = createSelfSigned('gateway');
  const paths = {
    server: {
      CERT: folder.write('server.crt', serverPair.cert),
      KEY: folder.write('server.key', serverPair.key),
      CA: folder.write('clients.crt', clientPair.cert),
    },
    client: {
      CERT: folder.write('client.crt', clientPair.cert),
      KEY: folder.write('client.key', clientPair.key),
      CA: folder.write('servers.crt', serverPair.cert),
    },
  };
  let server: RpcServer;
  before(async () => {
    server = await startRpcServer({
      address: { host: 'localhost', port: 0 },
      routes: (router) =>
        router.service(OrchestratorService, { getWorkflow: ({ workflowId }) => ({ id: workflowId }) }),
      interceptors: [],
      log,
      tls: nameTlsFiles('', paths.server, NAMES),
    });
  });
  after(async () => {
    await server.close(1_000);
    folder.close();
  });

  const watches: TlsWatch[] = [];
  after(() => {
    for (const watch of watches) watch.close();
  });
  function watchAs(files: Readonly<Record<'CERT' | 'KEY' | 'CA', string>>): TlsWatch {
    const watch = watchTlsFiles(nameTlsFiles('', files, NAMES)!, { log, lookMs: LOOK_MS });
    watches.push(watch);
    return watch;
  }

  async function open(name: TransportName, watch: Pick<TlsWatch, 'secureContext'> | undefined) {
    const endpoint = `https://localhost:${server.port}`;
    const limits = { keepaliveMs: 60_000, readMaxBytes: READ_MAX_BYTES };
    const transport = await createTransport(name, { endpoint, ...limits, secureContext: watch?.secureContext });
    const client = createClient(OrchestratorService, transport);
    return {
      get: (workflowId: string) =>
        within('the answer', client.getWorkflow({ workflowId }, { timeoutMs: 10_000 }), 12_000),
      close: transport.close,
    };
  }

  async function refusal(name: TransportName, watch: Pick<TlsWatch, 'secureContext'> | undefined) {
    const over = await open(name, watch);
    try {
      return await failureOf(over.get('a'));
    } finally {
      over.close();
    }
  }

  for (const name of TRANSPORTS) {
    it(`carries calls over ${name}`, async () => {
      const over = await open(name, watchAs(paths.client));
      assert.equal((await over.get('a')).id, 'a');
      over.close();
    });

    it(`refuses a client of ${name} without a certificate, and with another's`, async () => {
      const { CA } = paths.client;
      for (const files of [
        { CERT: '', KEY: '', CA },
        { CERT: folder.write('x.crt', stranger.cert), KEY: folder.write('x.key', stranger.key), CA },
      ]) {
        const error = await refusal(name, watchAs(files));
        assert.equal(gatewayCode(error), 'UNAVAILABLE', error.message);
      }
    });

    it(`checks the server over ${name} also where the environment says otherwise`, async () => {
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      try {
        const error = await refusal(name, undefined);
        assert.match(error.message, /self.signed|unable to verify/i);
      } finally {
        delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      }
    });
  }

  it('checks a sidecar by its authority, and no other', async () => {
    const watch = watchAs(paths.client);
    const timing = { connectMs: 10_000, pingAfterMs: 60_000, pingAnswerMs: 10_000 };
    const get = async (secureContext?: TlsWatch['secureContext']) => {
      const connection = createSidecarConnection(`https://localhost:${server.port}`, timing, secureContext);
      const client = createClient(OrchestratorService, connection.transport);
      return client.getWorkflow({ workflowId: 'a' }).finally(connection.close);
    };
    assert.equal((await within('the answer', get(watch.secureContext), 12_000)).id, 'a');
    assert.match((await within('the refusal', failureOf(get()), 12_000)).message, /self.signed|unable to verify/i);
  });

  // The last one: both sides are others from here on.
  it('uses new certificates for new connections, and keeps the old ones open', async () => {
    const watch = watchAs(paths.client);
    const olds = await Promise.all(TRANSPORTS.map((name) => open(name, watch)));
    for (const old of olds) await old.get('before');
    const newServer = createSelfSigned('localhost');
    const newClient = createSelfSigned('gateway');
    folder.write('servers.crt', newServer.cert);
    folder.write('client.crt', newClient.cert);
    folder.write('client.key', newClient.key);
    folder.write('clients.crt', newClient.cert);
    folder.write('server.crt', newServer.cert);
    folder.write('server.key', newServer.key);
    await until('the client has its own', () => watch.current().cert === newClient.cert, 10_000);
    await until(
      'the server shows its own, and knows the client',
      async () => {
        const over = await open('direct', watch);
        return over
          .get('new')
          .then(
            () => true,
            () => false,
          )
          .finally(over.close);
      },
      10_000,
    );
    for (const [index, name] of TRANSPORTS.entries()) {
      assert.equal((await olds[index]!.get('old')).id, 'old');
      olds[index]!.close();
      const over = await open(name, watch);
      assert.equal((await over.get('new')).id, 'new');
      over.close();
    }
  });
});
