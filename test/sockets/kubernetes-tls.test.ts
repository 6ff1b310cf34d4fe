import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { GATEWAY_PREFIX } from '../../src/gateway/config.ts';
import { Health, HealthCheckResponse_ServingStatus as HealthStatus } from '../../src/gen/grpc/health/v1/health_pb.ts';
import { readOrchestratorConfig } from '../../src/orchestrator/config.ts';
import { type RpcServer, startRpcServer } from '../../src/orchestrator/rpc-server.ts';
import { createLog } from '../../src/shared/log.ts';
import { readTlsPod } from '../deploy/tls-pod.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { createKubernetesVolume } from '../support/kubernetes-volume.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { until, within } from '../support/waiting.ts';

/** Both programs look at their files every 2 seconds. */
const RENEWAL_BOUND_MS = 10_000;

describe('the programs with what their Pods are given of TLS', () => {
  const pods = { gateway: readTlsPod('gateway'), orchestrator: readTlsPod('orchestrator') };
  const volumes = { gateway: createKubernetesVolume(), orchestrator: createKubernetesVolume() };
  const client = createSelfSigned('gateway');
  const old = { front: createSelfSigned('api.example.org'), server: createSelfSigned('localhost') };
  /** When the orchestrator's certificates end, one after the other. */
  const ends: number[] = [];
  let server: RpcServer;
  let gateway: TestGateway;

  /** As the kubelet does for both Pods. Gateways go on trusting the first of the orchestrators' certificates. */
  function write({ front, server }: typeof old): void {
    const secrets = {
      'foldforge-gateway-tls': { 'tls.crt': front.cert, 'tls.key': front.key },
      'foldforge-gateway-client-tls': {
        'tls.crt': client.cert,
        'tls.key': client.key,
        'ca.crt': `${old.server.cert}${server.cert}`,
      },
      'foldforge-orchestrator-tls': { 'tls.crt': server.cert, 'tls.key': server.key, 'ca.crt': client.cert },
    };
    for (const program of ['gateway', 'orchestrator'] as const) {
      volumes[program].write(pods[program].filesOf(secrets));
    }
  }

  before(async () => {
    write(old);
    const { tls } = readOrchestratorConfig(pods.orchestrator.environmentWith(volumes.orchestrator));
    server = await startRpcServer({
      address: { host: 'localhost', port: 0 },
      routes: (router) => router.service(Health, { check: () => ({ status: HealthStatus.SERVING }) }),
      interceptors: [],
      log: createLog('test', 'silent'),
      tls,
      onExpiry: (endsAtMs) => ends.push(endsAtMs),
    });
    gateway = await start();
  });
  after(async () => {
    await gateway?.close();
    await server?.close(1_000);
    for (const volume of Object.values(volumes)) volume.close();
  });

  /** A gateway as in its Pod, but on this machine, without the settings named. */
  function start(...leftOut: readonly string[]): Promise<TestGateway> {
    const environment = pods.gateway.environmentWith(volumes.gateway);
    const settings = Object.entries(environment).map(([name, value]) => [name.slice(GATEWAY_PREFIX.length), value]);
    return startTestGateway({
      ...Object.fromEntries(settings.filter(([name]) => !leftOut.includes(name!))),
      BIND_ADDR: '127.0.0.1:0',
      ORCHESTRATOR_ENDPOINT: `https://localhost:${server.port}`,
      SHUTDOWN_DELAY_SECONDS: '0',
      SHUTDOWN_GRACE_SECONDS: '3',
    });
  }

  async function shown(port: number): Promise<string | undefined> {
    const socket = connect({ port, host: 'localhost', ALPNProtocols: ['h2'], rejectUnauthorized: false });
    // A server that wants a certificate of ours ends it after the handshake.
    socket.on('error', () => undefined);
    await within('the handshake', once(socket, 'secureConnect'));
    const serial = socket.getPeerX509Certificate()?.fingerprint256;
    socket.destroy();
    return serial;
  }

  /** By the address of the Pod, without a name, and whatever the certificate is: the kubelet's way. */
  async function ask(path: string, { port } = gateway): Promise<{ status: number | undefined; body: string }> {
    const asked = request({ host: '127.0.0.1', port, path, rejectUnauthorized: false, agent: false });
    const answered = once(asked, 'response');
    asked.end();
    const [response] = await within(path, answered);
    return { status: response.statusCode, body: await within(path, text(response)) };
  }

  const probe = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).status;

  it('answer the probes, and reach each other', async () => {
    for (const { httpGet } of pods.gateway.probes) {
      assert.equal(httpGet.scheme, 'HTTPS');
      assert.equal(await probe(httpGet.path), 200, httpGet.path);
    }
  });

  it('do not reach each other without the certificate that gateways show, or the authority that they trust', async () => {
    for (const leftOut of [['ORCHESTRATOR_CERT_FILE', 'ORCHESTRATOR_KEY_FILE'], ['ORCHESTRATOR_CA_FILE']]) {
      const other = await start(...leftOut);
      try {
        assert.equal(await probe('/v1/healthz', other), 200);
        assert.equal(await probe('/v1/readyz', other), 503, leftOut.join());
      } finally {
        await other.close();
      }
    }
  });

  it('show renewed certificates when the kubelet has swapped ..data', async () => {
    const renewed = { front: createSelfSigned('api.example.org', 100), server: createSelfSigned('localhost', 100) };
    const before = [await shown(gateway.port), await shown(server.port)];
    write(renewed);
    await until(
      'both show theirs',
      async () => {
        const now = [await shown(gateway.port), await shown(server.port)];
        return now.every((fingerprint, index) => fingerprint !== before[index]);
      },
      RENEWAL_BOUND_MS,
    );
    assert.equal(await probe('/v1/readyz'), 200);
  });

  it('tell when what they show ends', async () => {
    const { body } = await ask('/metrics');
    const days = (atMs: number) => Math.round((atMs - Date.now()) / 86_400_000);
    const told = body.matchAll(
      /^foldforge_gateway_tls_certificate_expiry_timestamp_seconds\{certificate="(\w+)"\} (\S+)$/gm,
    );
    assert.deepEqual(Object.fromEntries([...told].map(([, name, at]) => [name, days(Number(at) * 1_000)])), {
      orchestrator: 1,
      listener: 100,
    });
    assert.deepEqual(ends.map(days), [1, 100]);
  });
});
