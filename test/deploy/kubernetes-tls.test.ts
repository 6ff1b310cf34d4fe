import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { PLAIN, PLAIN_TLS, parseManifests } from '../../scripts/check-deploy/render-chart.ts';
import { gatewaySettings, listenerTls, orchestratorTls, readGatewayConfig } from '../../src/gateway/config.ts';
import { checkTlsFiles, orchestratorSettings, readOrchestratorConfig } from '../../src/orchestrator/config.ts';
import { readTlsFiles } from '../../src/shared/tls-files.ts';
import { createKubernetesVolume } from '../support/kubernetes-volume.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { readTlsPod, type Secrets } from './tls-pod.ts';

interface Service {
  readonly spec: { readonly ports: readonly { readonly name: string; readonly port: number }[] };
}

const [front, server, client] = ['api.example.org', 'foldforge-orchestrator', 'gateway'].map((name) =>
  createSelfSigned(name),
) as [Pair, Pair, Pair];
type Pair = ReturnType<typeof createSelfSigned>;
const SECRETS: Secrets = {
  'foldforge-gateway-tls': { 'tls.crt': front.cert, 'tls.key': front.key },
  'foldforge-gateway-client-tls': { 'tls.crt': client.cert, 'tls.key': client.key, 'ca.crt': server.cert },
  'foldforge-orchestrator-tls': { 'tls.crt': server.cert, 'tls.key': server.key, 'ca.crt': client.cert },
};

function fill(test: TestContext, program: 'gateway' | 'orchestrator') {
  const pod = readTlsPod(program);
  const volume = createKubernetesVolume();
  test.after(volume.close);
  volume.write(pod.filesOf(SECRETS));
  return pod.environmentWith(volume);
}

/** Without what TLS adds, and with what it changes as it is without. */
function withoutTls(text: string): string {
  return text
    .replaceAll(/^ +- name: certificates\n(?:(?: {10,}).*\n)+/gm, '')
    .replaceAll(/^.*\/etc\/foldforge\/certificates.*\n/gm, '')
    .replaceAll(', scheme: HTTPS', '')
    .replace(
      'name: https, port: 443, targetPort: http, appProtocol: https',
      'name: http, port: 80, targetPort: http, appProtocol: http',
    )
    .replace('targetPort: grpc, appProtocol: https', 'targetPort: grpc, appProtocol: kubernetes.io/h2c')
    .replace('"https://foldforge-orchestrator:50051"', '"dns:///foldforge-orchestrator:50051"');
}

describe('the manifests with TLS in deploy/kubernetes', () => {
  it('are the others but for TLS', () => {
    assert.deepEqual(
      parseManifests(withoutTls(readFileSync(PLAIN_TLS, 'utf8'))),
      parseManifests(readFileSync(PLAIN, 'utf8')),
    );
  });

  it('give the gateway its own certificate, and what it shows to orchestrators and believes of them', (test) => {
    const config = readGatewayConfig(fill(test, 'gateway'));
    const { cert, key } = readTlsFiles(listenerTls(config)!);
    assert.deepEqual([cert, key], [front.cert, front.key]);
    const calls = readTlsFiles(orchestratorTls(config)!);
    assert.deepEqual([calls.cert, calls.key, calls.ca], [client.cert, client.key, server.cert]);
  });

  it('give the orchestrator its own certificate, and the authority of gateways', (test) => {
    const config = readOrchestratorConfig(fill(test, 'orchestrator'));
    checkTlsFiles(config);
    const { cert, key, ca } = readTlsFiles(config.tls!);
    assert.deepEqual([cert, key, ca], [server.cert, server.key, client.cert]);
  });

  it('lead gateways by TLS to every orchestrator, by the name that its certificate has', (test) => {
    const { ORCHESTRATOR_ENDPOINT } = readGatewayConfig(fill(test, 'gateway'));
    const manifests = parseManifests(readFileSync(PLAIN_TLS, 'utf8'));
    const { metadata, spec } = manifests.find(
      ({ kind, metadata: { name } }) => kind === 'Service' && /orch/.test(name),
    )! as (typeof manifests)[number] & Service;
    const { port } = spec.ports.find(({ name }) => name === 'grpc')!;
    assert.equal(ORCHESTRATOR_ENDPOINT, `https://${metadata.name}:${port}`);
  });

  it('have each file that a setting names, read-only, and readable to the group of the Pod alone', () => {
    for (const program of ['gateway', 'orchestrator'] as const) {
      const { mount, defaultMode } = readTlsPod(program);
      assert.deepEqual([mount.readOnly, defaultMode], [true, 0o440]);
      // A file that is mounted alone (subPath) would never be renewed.
      assert.equal('subPath' in mount, false);
    }
  });

  it('ask the gateway by HTTPS whether it is well, and the orchestrator as before', () => {
    const schemes = (program: 'gateway' | 'orchestrator') =>
      readTlsPod(program).probes.map(({ httpGet }) => httpGet.scheme);
    assert.deepEqual(schemes('gateway'), ['HTTPS', 'HTTPS', 'HTTPS']);
    assert.deepEqual(schemes('orchestrator'), [undefined, undefined, undefined]);
  });

  it('need only Secrets that README.md tells of, key by key', () => {
    const page = readFileSync(new URL('../../deploy/kubernetes/README.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `(foldforge-[\w-]+)` \| ((?:`[\w.]+`(?:, )?)+) \|/gm)];
    const told = Object.fromEntries(
      rows.map(([, name, keys]) => [name!, keys!.split(', ').map((key) => key.replaceAll('`', ''))]),
    );
    assert.deepEqual(
      told,
      Object.fromEntries(Object.entries(SECRETS).map(([name, keys]) => [name, Object.keys(keys)])),
    );
  });

  it('come of a chart that can mount every file that the programs have a setting for', () => {
    const template = readFileSync(new URL('../../deploy/helm/foldforge/templates/_tls.tpl', import.meta.url), 'utf8');
    const lines = (name: string) => template.split('\n').filter((line) => line.startsWith(`${name}: {`));
    const mounted = [gatewaySettings, orchestratorSettings].map((_settings, index) => {
      const pairs = [...lines('pairs')[index]!.matchAll(/(\w+): \{\{/g)].flatMap(([, name]) => [
        `${name}_CERT`,
        `${name}_KEY`,
      ]);
      const authorities = [...lines('authorities')[index]!.matchAll(/(\w+): \{\{/g)].map(([, name]) => name!);
      return [...pairs, ...authorities].map((name) => `${name}_FILE`).toSorted();
    });
    const wanted = [gatewaySettings, orchestratorSettings].map((settings) =>
      Object.keys(settings)
        .filter((name) => name.endsWith('_FILE'))
        .toSorted(),
    );
    assert.deepEqual(mounted, wanted);
  });
});
